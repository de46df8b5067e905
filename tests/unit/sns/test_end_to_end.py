"""The whole way: a client writes, the pusher with its database in between, a queue gets it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from aws import Aws

from event_pusher.app import App
from event_pusher.loopback import LoopbackServer
from event_pusher.registry import Registry
from event_pusher.settings import load

ALICE, BOB = "alice@example.org", "bob@example.org"
CONFIG = """\
[database]
url = "sqlite:///event-pusher.db"
[sources.component]
domain = "push.example.org"
server = "{server}"
secret = "secret"
hosts = ["example.org"]
[backends.sns]
region = "eu-west-1"
account_id = "123456789012"
sns_host = "{url}"
access_key_id = "AKIAIOSFODNN7EXAMPLE"
secret_access_key = {{ env = "SNS_SECRET" }}
presence_updates_topic = "presence"
pm_messages_topic = "pm.fifo"
muc_messages_topic = "muc"
publish_retry_count = 20
publish_retry_time_ms = 1
[admin]
listen = ""
"""


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(sent=True) as server:
        yield server


@pytest.fixture
def app(aws: Aws, server: LoopbackServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    monkeypatch.setenv("SNS_SECRET", "wJalrXUtnFEMI")
    config = folder / "event-pusher.toml"
    config.write_text(CONFIG.format(server=server.address, url=aws.url), encoding="utf-8")
    app = App(load(config, Registry()))
    assert app.start()
    assert server.wait_connected()
    yield app
    app.stop()
    app.close(drain=1.0)


@pytest.mark.usefixtures("app")
def test_what_a_client_writes_is_in_the_queue(aws: Aws, server: LoopbackServer) -> None:
    # Given Alice is online
    queue = aws.topic("pm.fifo")
    server.go_online(ALICE, "phone")
    # When she writes to Bob
    for text in ("But soft!", "What light through yonder window breaks?"):
        server.message(f"{ALICE}/phone", BOB, text)
    # Then the queue has it, in order
    assert [json.loads(body) for body in queue.wait(2)] == [
        {"from_user_id": ALICE, "to_user_id": BOB, "message": "But soft!"},
        {"from_user_id": ALICE, "to_user_id": BOB, "message": "What light through yonder window breaks?"},
    ]


@pytest.mark.usefixtures("app")
def test_both_sides_of_a_conversation_are_in_the_queue(aws: Aws, server: LoopbackServer) -> None:
    # Given two people who are online
    queue = aws.topic("pm.fifo")
    for user in (ALICE, BOB):
        server.go_online(user, "phone")
    # When they write to each other
    server.message(f"{ALICE}/phone", BOB, "Art thou not Romeo?")
    server.message(f"{BOB}/phone", ALICE, "Neither, fair saint.")
    # Then each message is told once, though it was sent and received
    told = [json.loads(body) for body in queue.wait(2)]
    assert sorted((one["from_user_id"], one["to_user_id"]) for one in told) == [(ALICE, BOB), (BOB, ALICE)]


@pytest.mark.usefixtures("app")
def test_what_a_client_writes_to_a_room_is_in_its_queue(aws: Aws, server: LoopbackServer) -> None:
    queue = aws.topic("muc")
    server.go_online(ALICE, "phone")

    server.message(f"{ALICE}/phone", "garden@muc.example.org", "Hark!", type="groupchat")

    assert [json.loads(body) for body in queue.wait(1)] == [
        {"from_user_id": ALICE, "to_user_id": "garden@muc.example.org", "message": "Hark!"}
    ]


@pytest.mark.usefixtures("app")
def test_who_comes_and_goes_is_in_the_queue(aws: Aws, server: LoopbackServer) -> None:
    # Given Bob comes with two sessions
    queue = aws.topic("presence")
    server.go_online(BOB, "phone")
    server.go_online(BOB, "tablet")
    queue.wait(2)
    # When both go, one after the other
    server.go_offline(BOB, "phone")
    server.wait_for(lambda: server.acked >= server.ring.next - 1)
    server.go_offline(BOB, "tablet")
    # Then he is told to be gone once
    assert [json.loads(body)["present"] for body in queue.wait(3)] == [True, True, False]


@pytest.mark.usefixtures("app")
def test_what_is_written_while_sns_is_away_arrives_once(aws: Aws, server: LoopbackServer) -> None:
    # Given SNS is away, When Alice writes
    queue = aws.topic("pm.fifo")
    aws.leave()
    for number in range(20):
        server.message(f"{ALICE}/phone", BOB, str(number))
    server.wait_for(lambda: server.acked >= server.ring.next - 1)
    # Then all of it arrives in order when SNS is back, and nothing twice
    aws.come_back()
    assert [json.loads(body)["message"] for body in queue.wait(20)] == [str(number) for number in range(20)]
