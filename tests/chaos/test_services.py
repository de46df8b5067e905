"""Push services that are absent, silent, garbled or forged: nothing is lost, nobody is disabled, nobody else waits."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from event_pusher.loopback import HOLD, Publish, Verdict
from tests.chaos.field import SERVICE, Field
from tests.chaos.processes import Warm


@pytest.fixture
def field(tmp_path: Path, warm: Warm) -> Iterator[Field]:
    """A running pusher, and a push service that is well."""
    with Field(tmp_path, warm, random.Random(6)) as ground:
        ground.moods.well = True
        ground.start()
        ground.wait_connected()
        yield ground


def misbehaving(field: Field, verdict: str) -> list[Publish]:
    """Let the service do `verdict` to user 0 and serve everybody else; gives what user 0's phones were sent."""
    got: list[Publish] = []

    def handle(publish: Publish) -> Verdict:
        if not publish.node.startswith("0-"):
            return field._answer(publish)
        got.append(publish)
        if verdict == "silent":
            return HOLD
        if verdict == "garbage" and publish.reply is not None:
            answer = publish.reply("result", "", False)
            field.server.inject(re.sub(rb"(<publish [^>]*>).*(</publish>)", rb"\1<nonsense xmlns='urn:x'/>\2", answer))
            return HOLD
        if verdict == "forged" and publish.reply is not None:
            answer = publish.reply("result", "", False)
            field.server.inject(answer.replace(SERVICE.encode(), b"somebody.else.example"))
            return HOLD
        return ("wait", "remote-server-not-found")

    field.server.push_service(SERVICE, handle)
    return got


@pytest.mark.parametrize("verdict", ["absent", "silent", "garbage", "forged"])
def test_a_service_that_fails_for_one_user_silences_nobody_else_and_disables_nobody(field: Field, verdict: str) -> None:
    # Given a service that misbehaves to one user's phones
    got = misbehaving(field, verdict)
    field.write(1, user=0)
    field.server.wait_for(lambda: len(got) >= 2)
    # When others are written to
    for user in range(1, 20):
        field.write(2, user=user)
    # Then theirs is published meanwhile
    assert field.server.wait_for(lambda: {wanted.node for wanted in field.book.unsent} <= {"0-0", "0-1"}, 30)
    # And when the service is well, the first one's is, too: nothing was taken for a verdict
    field.server.push_service(SERVICE, field._answer)
    field.drain()
    field.book.check(in_flight=100)


def test_answers_that_come_twice_settle_once(field: Field) -> None:
    # Given a service that answers everything three times, the last one late
    def handle(publish: Publish) -> Verdict:
        verdict = field._answer(publish)
        for _ in range(2):
            field.server.answer(publish)
        threading.Timer(0.2, field.server.answer, (publish,)).start()
        return verdict

    field.server.push_service(SERVICE, handle)
    # When messages come
    field.write(200)
    # Then each is published once
    field.drain()
    assert len(field.book.sent) == 400
