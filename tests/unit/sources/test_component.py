"""The component source against the loopback server: the whole way of a stanza, both directions."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from pydantic import ValidationError

from event_pusher.abc import Attempt, Delivery, IqAnswer, IqRequest, SourceTools
from event_pusher.events import ChatEvent
from event_pusher.intake import (
    Disable,
    Enable,
    FeedStarted,
    Item,
    Occurrence,
    Position,
    Refusal,
    Snapshot,
)
from event_pusher.loopback import HOLD, LoopbackServer
from event_pusher.sources.component import COUNTERS, ComponentSettings, ComponentSource

ALICE, BOB, SERVICE = "alice@example.org/r1", "bob@example.org", "p.example.net"
EVENT = "<event xmlns='urn:event-pusher:feed:0'"
PAYLOAD = b"<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n1'><item id='k1'/></publish></pubsub>"


class Core:
    """The other side of the source: takes in, answers requests, acknowledges when told."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.lists: list[list[Item]] = []
        self.answers: list[IqAnswer] = []
        self.verdict: Refusal | None = None
        self.acknowledges: ComponentSource | None = None

    def intake(self, items: Sequence[Item]) -> None:
        with self.changed:
            self.lists.append(list(items))
            self.changed.notify_all()
        for item in items:
            if isinstance(item, (Enable, Disable)):
                item.reply(self.verdict)
            elif self.acknowledges is not None and isinstance(item, Occurrence) and item.position is not None:
                self.acknowledges.acknowledge(item.host, item.position)

    def answered(self, answers: Sequence[tuple[Attempt, IqAnswer]]) -> None:
        with self.changed:
            self.answers += [answer for _, answer in answers]
            self.changed.notify_all()

    def wait(self, predicate: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(predicate, 10), [item for items in self.lists for item in items][-5:]

    def of(self, kind: type[Any]) -> list[Any]:
        return [item for items in list(self.lists) for item in items if isinstance(item, kind)]

    def bodies(self) -> list[str]:
        return [item.event.stanza.body for item in self.of(Occurrence) if isinstance(item.event, ChatEvent)]

    def positions(self) -> list[Position]:
        places = [getattr(item, "position", None) for items in list(self.lists) for item in items]
        return [place for place in places if place is not None]

    def grew(self, seen: int) -> bool:
        return len(self.positions()) > seen

    def wait_bodies(self, *bodies: str) -> None:
        self.wait(lambda: self.bodies() == list(bodies))


@pytest.fixture
def core() -> Core:
    return Core()


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as server:
        yield server


Connect = Callable[..., ComponentSource]


@pytest.fixture
def connect(core: Core, server: LoopbackServer) -> Iterator[Connect]:
    """Starts a source for the server; all are closed at the end."""
    sources: list[ComponentSource] = []

    def start(positions: dict[str, list[Position]] | None = None, **more: Any) -> ComponentSource:
        settings = {
            "domain": "push.example.org",
            "server": server.address,
            "secret": "secret",
            "hosts": ["example.org"],
        }
        source = ComponentSource(
            ComponentSettings.model_validate(settings | more),
            SourceTools("component", core.intake, core, logging.getLogger("test")),
        )
        source.stream._backoff = lambda attempt: 0.0
        source.resume_from(positions or {})
        sources.append(source)
        source.start()
        assert server.wait_connected()
        return source

    yield start
    for source in sources:
        source.close(5)


@pytest.fixture
def source(connect: Connect) -> ComponentSource:
    return connect()


def publish(source: ComponentSource, core: Core, *, to: str = SERVICE) -> None:
    attempt = Attempt(1, 1, "k1", Delivery(BOB, to, PAYLOAD), 0.0)
    source.stanzas().request([IqRequest("example.org", to, PAYLOAD, attempt)], 40.0, core.answered)


def acknowledge_all(source: ComponentSource, core: Core, server: LoopbackServer) -> None:
    last = core.positions()[-1]
    source.acknowledge("example.org", last)
    assert server.wait_for(lambda: server.acked >= last.n)


def test_the_feed_starts_with_its_answer_and_a_snapshot(
    source: ComponentSource, core: Core, server: LoopbackServer
) -> None:
    core.wait(lambda: len(core.of(Snapshot)) == 2)
    [started] = core.of(FeedStarted)
    assert (started.feed, started.epoch, started.first, started.next, started.lost) == (
        *("loopback", server.epoch),
        *(1, 1, 0),
    )
    assert source.health() is None


def test_a_message_comes_in_and_is_acknowledged(source: ComponentSource, core: Core, server: LoopbackServer) -> None:
    server.message(ALICE, BOB, "hello")
    core.wait_bodies("hello")
    acknowledge_all(source, core, server)
    assert source.counters["acks_sent"] == 1


def test_enable_and_message_are_in_line(source: ComponentSource, core: Core, server: LoopbackServer) -> None:
    # Given a client that enables, and a message right behind it
    assert server.enable(BOB, SERVICE, "n1", {"secret": "s"}) == IqAnswer("result")
    server.message(ALICE, BOB, "hello")
    core.wait_bodies("hello")
    # Then the core hears of both in that order
    [enable] = core.of(Enable)
    assert (enable.user, enable.service, enable.node, enable.options) == (BOB, SERVICE, "n1", (("secret", "s"),))
    flat = [item for items in core.lists for item in items]
    assert flat.index(enable) < flat.index(core.of(Occurrence)[-1])


def test_one_read_is_one_list(source: ComponentSource, core: Core, server: LoopbackServer) -> None:
    core.wait(lambda: len(core.of(Snapshot)) == 2)
    before = len(core.lists)
    envelope = "<message from='example.org'>" + EVENT + " feed='f' epoch='e' n='{}' kind='x'/></message>"
    server.inject("".join(envelope.format(n) for n in range(1, 6)).encode())
    core.wait(lambda: len(core.lists) > before)
    assert [len(items) for items in core.lists[before:]] == [5]


def test_a_refusal_of_the_core_reaches_the_client(source: ComponentSource, core: Core, server: LoopbackServer) -> None:
    core.verdict = Refusal("wait", "internal-server-error", "try again")
    answer = server.enable(BOB, SERVICE, "n1")
    assert (answer.condition, answer.error_type, answer.text) == ("internal-server-error", "wait", "try again")


def test_account_a_cannot_enable_for_account_b(source: ComponentSource, core: Core, server: LoopbackServer) -> None:
    answer = server.enable(BOB, SERVICE, "n1", to="eve@example.org")
    assert (answer.condition, answer.error_type) == ("forbidden", "auth")
    assert core.of(Enable) == []
    assert source.counters["requests_refused"] == 1


def test_disable_names_the_node_or_none(source: ComponentSource, core: Core, server: LoopbackServer) -> None:
    server.disable(BOB, SERVICE, "n1")
    server.disable(BOB, SERVICE)
    assert [item.node for item in core.of(Disable)] == ["n1", None]


def test_a_delegated_request_of_a_stranger_is_refused(
    source: ComponentSource, core: Core, server: LoopbackServer
) -> None:
    envelope = (
        "<delegation xmlns='urn:xmpp:delegation:2'><forwarded xmlns='urn:xmpp:forward:0'><iq xmlns='jabber:client' "
        "type='set' id='1' from='bob@example.org/r' to='bob@example.org'>"
        "<enable xmlns='urn:xmpp:push:0' jid='p' node='n'/>"
        "</iq></forwarded></delegation>"
    )
    answer = server.exchange("set", "f1", envelope, sender="evil.org")
    assert answer is not None
    assert b"forbidden" in answer
    assert core.of(Enable) == []
    assert source.counters["requests_forged"] == 1


def test_a_broken_envelope_gets_an_answer(source: ComponentSource, server: LoopbackServer) -> None:
    answer = server.exchange("set", "f1", "<delegation xmlns='urn:xmpp:delegation:2'/>")
    assert answer is not None
    assert b"bad-request" in answer


def test_forged_feed_events_do_nothing(source: ComponentSource, core: Core, server: LoopbackServer) -> None:
    # Given an event that says it is the feed's, from somebody else
    server.inject(
        b"<message from='evil.org' to='push.example.org'><event xmlns='urn:event-pusher:feed:0' "
        b"feed='loopback' epoch='e' n='1' kind='user-removed' user='bob@example.org'/></message>"
    )
    server.message(ALICE, BOB, "true")
    # Then only the true one counts
    core.wait_bodies("true")
    assert source.counters["messages_ignored"] == 1
    assert len(core.of(Occurrence)) == 1


def test_a_publish_goes_out_from_the_host_and_its_answer_comes_back(
    source: ComponentSource, core: Core, server: LoopbackServer
) -> None:
    service = server.push_service(SERVICE)
    publish(source, core)
    core.wait(lambda: len(core.answers) == 1)
    assert core.answers == [IqAnswer("result")]
    [got] = service.publishes
    assert (got.sender, got.node, got.item_id) == ("example.org", "n1", "k1")


def test_a_publish_can_go_out_from_the_component(connect: Connect, core: Core, server: LoopbackServer) -> None:
    source = connect(publish_as="component")
    service = server.push_service(SERVICE, lambda publish: ("cancel", "item-not-found"))
    publish(source, core)
    core.wait(lambda: len(core.answers) == 1)
    assert (core.answers[0].type, core.answers[0].condition) == ("error", "item-not-found")
    assert service.publishes[0].sender == "push.example.org"


def test_an_answer_to_a_relayed_publish_comes_on_the_next_stream(
    source: ComponentSource, core: Core, server: LoopbackServer
) -> None:
    # Given a publish that is open while the stream is lost
    service = server.push_service(SERVICE, lambda publish: HOLD)
    publish(source, core)
    assert server.wait_for(lambda: service.count == 1)
    server.drop_stream()
    assert server.wait_connected()
    # When the service answers then
    server.answer(service.publishes[0])
    # Then the answer counts
    core.wait(lambda: core.answers == [IqAnswer("result")])


def test_an_open_relay_is_lost_with_the_host_that_began_anew(
    source: ComponentSource, core: Core, server: LoopbackServer
) -> None:
    service = server.push_service(SERVICE, lambda publish: HOLD)
    publish(source, core)
    assert server.wait_for(lambda: service.count == 1)
    server.restart()
    core.wait(lambda: core.answers == [IqAnswer("lost")])


def test_a_hosts_timeout_names_the_host(source: ComponentSource, core: Core, server: LoopbackServer) -> None:
    service = server.push_service(SERVICE, lambda publish: HOLD)
    publish(source, core)
    assert server.wait_for(lambda: service.count == 1)
    server.time_out(service.publishes[0])
    core.wait(lambda: len(core.answers) == 1)
    answer = core.answers[0]
    assert (answer.condition, answer.error_type, answer.by) == ("remote-server-timeout", "wait", "example.org")


def test_a_lost_stream_is_resumed_behind_what_was_acknowledged(
    source: ComponentSource, core: Core, server: LoopbackServer
) -> None:
    # Given one message that is acknowledged and one that is not
    server.message(ALICE, BOB, "one")
    core.wait_bodies("one")
    acknowledge_all(source, core, server)
    server.message(ALICE, BOB, "two")
    core.wait_bodies("one", "two")
    # When the stream is lost and a third message comes meanwhile
    server.drop_stream()
    server.message(ALICE, BOB, "three")
    # Then the second comes again and is read once, the third follows
    core.wait_bodies("one", "two", "three")
    assert source.counters["events_repeated"] >= 1
    assert source.counters["events_gaps"] == 0
    assert core.of(FeedStarted)[-1].lost == 0


def test_a_new_process_resumes_where_the_old_one_was_committed(
    connect: Connect, core: Core, server: LoopbackServer
) -> None:
    # Given a process that committed the first of two messages and died
    first = connect()
    server.message(ALICE, BOB, "one")
    server.message(ALICE, BOB, "two")
    core.wait_bodies("one", "two")
    committed = next(item.position for item in core.of(Occurrence))
    first.close(5)
    assert server.wait_for(lambda: not server.connected)
    core.lists.clear()
    # When another one starts from there
    connect({"example.org": [Position("other-node", "old", 9), committed]})
    # Then the second comes, the first does not
    core.wait_bodies("two")


def test_the_answer_of_another_node_is_resumed_from_its_own_position(
    connect: Connect, core: Core, server: LoopbackServer
) -> None:
    # Given a host of two nodes, of which the one that answers is not the one that was acknowledged last
    server.message(ALICE, BOB, "one")
    server.message(ALICE, BOB, "two")
    known = Position("loopback", server.epoch, 1)
    connect({"example.org": [known, Position("other-node", "old", 9)]})
    core.wait_bodies("two")
    assert len(core.of(FeedStarted)) == 1


def test_a_server_that_began_anew_is_followed(source: ComponentSource, core: Core, server: LoopbackServer) -> None:
    server.message(ALICE, BOB, "one")
    core.wait_bodies("one")
    acknowledge_all(source, core, server)
    server.restart()
    server.message(ALICE, BOB, "two")
    core.wait_bodies("one", "two")
    acknowledge_all(source, core, server)
    assert core.of(FeedStarted)[-1].epoch == server.epoch


def test_what_is_not_acknowledged_is_not_more_than_the_window(
    connect: Connect, core: Core, server: LoopbackServer
) -> None:
    # Given a window of five
    source = connect(window=5)
    for n in range(20):
        server.message(ALICE, BOB, str(n))
    # When nothing is acknowledged, then five entries come; with each ack more do, and none is left out
    core.wait(lambda: len(core.positions()) == 5)
    while len(core.bodies()) < 20:
        seen = len(core.positions())
        acknowledge_all(source, core, server)
        core.wait(partial(core.grew, seen))
    assert core.bodies() == [str(n) for n in range(20)]


@pytest.mark.parametrize("bad", ["&#1;", "\udcff", "x" * 20_000], ids=["control", "utf-8", "too large"])
def test_an_entry_that_breaks_the_stream_is_left_out_in_the_end(
    connect: Connect, core: Core, server: LoopbackServer, caplog: pytest.LogCaptureFixture, bad: str
) -> None:
    # Given a source with a small cap, and an entry that cannot be read between two that can
    core.acknowledges = source = connect(max_stanza_bytes=10_000)
    server.message(ALICE, BOB, "before")
    core.wait_bodies("before")
    head = f"<message from='example.org' to='push.example.org'>{EVENT} feed='loopback' epoch='{server.epoch}' n='"
    with server._changed:
        n = server.ring.add(
            head.encode(), f"' kind='received'/><x>{bad}</x></message>".encode(errors="surrogateescape")
        )
    server.message(ALICE, BOB, "after")
    # Then it breaks three streams, is left out with its position, and what follows comes
    core.wait_bodies("before", "after")
    assert source.counters["events_skipped"] == 1
    assert source.counters["stanzas_refused"] == 3
    assert [item for item in core.of(Occurrence) if item.position.n == n] == [
        Occurrence("component", "example.org", Position("loopback", server.epoch, n))
    ]
    assert f"entry {n} of feed loopback, epoch {server.epoch}" in caplog.text


def test_a_stopped_intake_takes_no_more_and_still_hears_answers(
    source: ComponentSource, core: Core, server: LoopbackServer
) -> None:
    # Given a source whose intake was stopped while a publish is open
    service = server.push_service(SERVICE, lambda publish: HOLD)
    publish(source, core)
    assert server.wait_for(lambda: service.count == 1)
    source.stop_intake()
    # When a message, a request and the answer come
    server.message(ALICE, BOB, "later")
    refusal = server.enable(BOB, SERVICE, "n1")
    server.answer(service.publishes[0])
    # Then only the answer counts, the client is told to try again
    core.wait(lambda: core.answers == [IqAnswer("result")])
    assert core.bodies() == []
    assert (refusal.error_type, refusal.condition) == ("wait", "service-unavailable")


def test_the_servers_questions_are_answered(source: ComponentSource, server: LoopbackServer) -> None:
    node = "urn:xmpp:delegation:1:bare:urn:xmpp:push:0"
    answer = server.exchange("get", "d1", f"<query xmlns='http://jabber.org/protocol/disco#info' node='{node}'/>")
    assert answer is not None
    assert b'var="urn:xmpp:push:0"' in answer


def test_without_bodies_no_text_leaves_the_server(connect: Connect, core: Core, server: LoopbackServer) -> None:
    connect(bodies=False)
    server.message(ALICE, BOB, "private")
    core.wait_bodies("…")


def test_closing_ends_the_stream_and_says_so(source: ComponentSource, core: Core, server: LoopbackServer) -> None:
    source.close(5)
    assert server.wait_for(lambda: not server.connected)
    publish(source, core)
    assert core.answers == [IqAnswer("unsent")]
    assert source.health() is not None


def test_every_counter_is_there_from_the_start_and_has_a_name_that_stays(source: ComponentSource) -> None:
    assert set(source.counters) == set(COUNTERS)


# --- settings -------------------------------------------------------------------------------------------------

SETTINGS: dict[str, Any] = {"domain": "push.example.org", "secret": "s", "hosts": ["example.org"]}


def test_the_defaults_are_those_of_a_server_on_this_machine() -> None:
    settings = ComponentSettings.model_validate(SETTINGS)
    assert settings.address == ("127.0.0.1", 5347)
    assert (settings.publish_as, settings.window, settings.bodies) == ("host", 1000, True)


@pytest.mark.parametrize("server", ["localhost:5347", "127.0.0.9:1", "[::1]:5347"])
def test_loopback_needs_no_leave(server: str) -> None:
    ComponentSettings.model_validate(SETTINGS | {"server": server})


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"server": "10.0.0.1:5347"}, "allow_plaintext = true"),
        ({"server": "xmpp.example.org:5347"}, "allow_plaintext = true"),
        ({"server": "localhost"}, "HOST:PORT"),
        ({"server": "localhost:x"}, "HOST:PORT"),
        ({"server": "localhost:99999"}, "HOST:PORT"),
        ({"domain": "a@b"}, "not a domain"),
        ({"domain": "a b"}, "no valid domain"),
        ({"domain": "example.org"}, "cannot be one of hosts"),
        ({"hosts": []}, "at least 1"),
        ({"hosts": ["x.org", "X.org"]}, "names a domain twice"),
        ({"kinds": ["received'/>"]}, "kinds are names"),
        ({"publish_as": "user"}, "'host' or 'component'"),
        ({"secrte": "x"}, "not permitted"),
    ],
)
def test_settings_that_cannot_be_are_told(more: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        ComponentSettings.model_validate(SETTINGS | more)


def test_plaintext_over_the_network_with_leave() -> None:
    settings = ComponentSettings.model_validate(SETTINGS | {"server": "10.0.0.1:5347", "allow_plaintext": True})
    assert settings.address == ("10.0.0.1", 5347)


def test_the_secret_never_shows() -> None:
    assert "hush" not in repr(ComponentSettings.model_validate(SETTINGS | {"secret": "hush"}))
