"""The loopback server keeps to the feed protocol; a raw component speaks with it here."""

import hashlib
import socket
from collections.abc import Callable, Iterator

import pytest
from lxml import etree

from event_pusher.loopback import LoopbackServer
from event_pusher.loopback.ring import Ring
from event_pusher.xmpp.budget import NameBudget
from event_pusher.xmpp.parser import StreamParser

FEED = "{urn:event-pusher:feed:0}"
ALICE, BOB = "alice@example.org/r1", "bob@example.org"


class Component:
    """A component by hand: sends bytes, reads stanzas one by one."""

    def __init__(self, server: LoopbackServer, secret: str = "secret", domain: str = "push.example.org") -> None:
        host, _, port = server.address.partition(":")
        self.sock = socket.create_connection((host, int(port)), 10)
        self.parser = StreamParser(budget=NameBudget())
        self.stanzas: list[str] = []
        self.say(
            f"<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' "
            f"to='{domain}'>"
        )
        while self.parser.header is None:
            self._read()
        digest = hashlib.sha1((self.parser.header["id"] + secret).encode(), usedforsecurity=False).hexdigest()
        self.say(f"<handshake>{digest}</handshake>")
        self.first = self.next().tag

    def say(self, text: str) -> None:
        self.sock.sendall(text.encode())

    def _read(self) -> None:
        data = self.sock.recv(65536)
        assert data, "the server ended"
        self.stanzas += [etree.tostring(stanza, encoding="unicode") for stanza in self.parser.feed(data)]

    def next(self) -> etree._Element:
        while not self.stanzas:
            self._read()
        return etree.fromstring(self.stanzas.pop(0))

    def told(self) -> tuple[str, dict[str, str]]:
        child = self.next()[0]
        return str(child.tag).removeprefix(FEED), {str(key): str(value) for key, value in child.items()}

    def resume(self, consumer: str = "C", **more: str | int) -> dict[str, str]:
        given = {"version": "0", "consumer": consumer, "window": 2000, **more}
        self._feed("resume", given)
        name, attributes = self.told()
        assert name == "feed"
        return attributes

    def snapshot(self) -> list[dict[str, str]]:
        assert self.told()[0] == "snapshot-begin"
        events = []
        while (told := self.told())[0] == "event":
            events.append(told[1])
        assert told[0] == "snapshot-end"
        assert told[1]["count"] == str(len(events))
        return events

    def ack(self, server: LoopbackServer, n: int, consumer: str = "C", epoch: str | None = None) -> None:
        self._feed("ack", {"feed": "loopback", "epoch": epoch or server.epoch, "n": n, "consumer": consumer})

    def _feed(self, name: str, attributes: dict[str, str | int]) -> None:
        text = "".join(f" {key}='{value}'" for key, value in attributes.items())
        self.say(
            "<message from='push.example.org' to='example.org'>"
            f"<{name} xmlns='urn:event-pusher:feed:0'{text}/></message>"
        )


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as server:
        yield server


Join = Callable[..., Component]


@pytest.fixture
def join(server: LoopbackServer) -> Iterator[Join]:
    components: list[Component] = []

    def connect(**options: str) -> Component:
        components.append(Component(server, **options))
        return components[-1]

    yield connect
    for component in components:
        component.sock.close()


def test_a_wrong_secret_and_an_unknown_domain_are_refused(join: Join) -> None:
    for options, condition in (({"secret": "wrong"}, "not-authorized"), ({"domain": "other.org"}, "host-unknown")):
        component = join(**options)
        assert component.first == "{http://etherx.jabber.org/streams}error", condition


def test_a_first_resume_gets_the_feed_and_a_snapshot(server: LoopbackServer, join: Join) -> None:
    # Given a live session and a hibernated one
    server.go_online(BOB, "r1", priority=5)
    server.go_online(BOB, "r2")
    server.hibernate(BOB, "r2")
    component = join()
    # When the component resumes for the first time
    started = component.resume()
    # Then it hears of the feed, what is in the ring, and of both sessions
    assert (started["feed"], started["epoch"], started["first"], started["lost"]) == (
        "loopback",
        server.epoch,
        "1",
        "0",
    )
    kinds = [component.told()[1]["kind"] for _ in range(int(started["next"]) - 1)]
    assert kinds == ["session-start", "available", "session-start", "available", "hibernation-start"]
    live, waiting = component.snapshot()
    assert (live["resource"], live["priority"], "state" in live) == ("r1", "5", False)
    assert (waiting["resource"], waiting["state"]) == ("r2", "hibernated")


def test_a_snapshot_is_whole_whatever_the_kinds(server: LoopbackServer, join: Join) -> None:
    # Given a consumer that wants messages only
    component = join()
    component.resume(kinds="received")
    assert component.snapshot() == []
    # When a session starts, and the consumer resumes anew
    server.go_online(BOB)
    component.resume(kinds="received", feed="loopback", epoch=server.epoch, n=2)
    # Then the event was not told, and the snapshot names the session
    assert [session["user"] for session in component.snapshot()] == [BOB]


def test_a_resume_continues_behind_its_position_and_another_epoch_at_the_first(
    server: LoopbackServer, join: Join
) -> None:
    for n in range(4):
        server.message(ALICE, BOB, str(n))
    known = join()
    known.resume(feed="loopback", epoch=server.epoch, n=2)
    assert known.told()[1]["n"] == "3"
    other = join()
    started = other.resume(feed="loopback", epoch="old", n=2)
    assert (started["first"], started["lost"]) == ("3", "0")
    assert other.told()[1]["n"] == "3"


def test_a_version_it_does_not_speak_is_refused(join: Join) -> None:
    assert join().resume(version="9") == {"version": "0", "error": "unsupported-version"}


def test_no_more_than_the_window_is_on_the_wire(server: LoopbackServer, join: Join) -> None:
    # Given a window of two and five entries
    for n in range(5):
        server.message(ALICE, BOB, str(n))
    component = join()
    component.resume(window=2)
    assert [component.told()[1]["n"] for _ in range(2)] == ["1", "2"]
    # When acks come: of a stranger, of another epoch, beyond what was sent, and a true one
    component.ack(server, 2, consumer="X")
    component.ack(server, 2, epoch="old")
    component.ack(server, 5)
    component.ack(server, 1)
    # Then only the true one gives credit
    assert component.told()[1]["n"] == "3"
    assert server.acked == 1


def test_the_newest_connection_is_served(server: LoopbackServer, join: Join) -> None:
    former = join()
    former.resume()
    former.snapshot()
    join().resume(consumer="D")
    assert former.next().tag == "{http://etherx.jabber.org/streams}error"


@pytest.mark.parametrize(
    ("online", "hibernated", "states"),
    [
        ([], [], ["offline"]),
        ([0], [], ["online"]),
        ([-1], [], ["offline"]),
        ([0, 5], [], ["online"]),
        ([], [0, 0], ["hibernated", "hibernated"]),
        ([0], [0], ["online"]),
        ([-1], [0], ["hibernated"]),
    ],
)
def test_a_message_tells_how_its_recipient_stands(
    server: LoopbackServer, join: Join, online: list[int], hibernated: list[int], states: list[str]
) -> None:
    for n, priority in enumerate(online):
        server.go_online(BOB, f"on{n}", priority)
    for n, priority in enumerate(hibernated):
        server.go_online(BOB, f"hib{n}", priority)
        server.hibernate(BOB, f"hib{n}")
    component = join()
    component.resume(kinds="received")
    told = server.ring.next
    server.message(ALICE, f"{BOB}/x", "hello")
    assert server.ring.next - told == len(states)
    got: list[str] = []
    while len(got) < len(states):
        _, attributes = component.told()
        if attributes.get("kind") == "received":
            got.append(attributes["state"])
    assert got == states


def test_sessions_come_go_and_are_resumed(server: LoopbackServer, join: Join) -> None:
    component = join()
    component.resume()
    component.snapshot()
    first = server.go_online(BOB)
    server.hibernate(BOB)
    assert server.go_online(BOB) == first
    server.go_offline(BOB)
    assert server.go_online(BOB) != first
    kinds = [component.told()[1]["kind"] for _ in range(9)]
    assert kinds == [
        *("session-start", "available", "hibernation-start", "hibernation-end", "available"),
        *("unavailable", "session-end", "session-start", "available"),
    ]


def test_the_sender_side_is_told_on_demand(join: Join) -> None:
    with LoopbackServer(sent=True) as server:
        server.message(ALICE, BOB, "hello")
        server.message("carol@elsewhere.org/x", BOB, "hello")
        assert server.ring.next == 4


def test_a_service_that_is_not_there_is_an_error_of_the_relay(join: Join) -> None:
    component = join()
    component.say(
        "<iq type='set' id='o1' from='push.example.org' to='example.org'>"
        "<publish xmlns='urn:event-pusher:feed:0' timeout='3'>"
        "<iq xmlns='jabber:client' type='set' to='no.where' id='i1'><pubsub xmlns='http://jabber.org/protocol/pubsub'/></iq>"
        "</publish></iq>"
    )
    answer = component.next()
    inner = answer[0][0]
    assert (answer.get("type"), answer.get("id")) == ("result", "o1")
    assert (inner.get("type"), inner.get("id"), inner.get("from")) == ("error", "i1", "no.where")


def test_a_publish_is_read_with_its_forms(server: LoopbackServer, join: Join) -> None:
    service = server.push_service("p.x")
    component = join()
    field = "<field var='{}'><value>{}</value></field>"
    summary = field.format("FORM_TYPE", "urn:xmpp:push:summary") + field.format("message-count", "1")
    options = field.format("secret", "s")
    component.say(
        "<iq type='set' id='o1' from='push.example.org' to='p.x'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"
        "<publish node='n'><item id='k'><notification xmlns='urn:xmpp:push:0'><x xmlns='jabber:x:data' type='submit'>"
        f"{summary}</x></notification></item></publish><publish-options>"
        f"<x xmlns='jabber:x:data' type='submit'>{options}"
        "</x></publish-options></pubsub></iq>"
    )
    assert component.next().get("type") == "result"
    [publish] = service.publishes
    assert (publish.node, publish.item_id, publish.sender) == ("n", "k", "push.example.org")
    assert (publish.summary, publish.options) == ({"message-count": "1"}, {"secret": "s"})
    assert "secret" not in repr(publish)


def test_while_the_component_is_away_a_client_gets_an_error(server: LoopbackServer) -> None:
    assert server.enable(BOB, "p.x", "n").condition == "service-unavailable"


def test_what_is_unacked_and_who_is_removed_is_told(server: LoopbackServer, join: Join) -> None:
    server.unacked(ALICE, BOB, "hello")
    server.remove_user(BOB)
    component = join()
    component.resume()
    assert [component.told()[1]["kind"] for _ in range(2)] == ["unacked", "user-removed"]


def test_a_stream_error_and_the_streams_end_reach_the_component(server: LoopbackServer, join: Join) -> None:
    component = join()
    server.end_stream()
    assert "system-shutdown" in str(component.next()[0].tag)
    assert component.sock.recv(10) == b""


def test_waiting_for_what_never_comes_ends(server: LoopbackServer) -> None:
    assert not server.wait_connected(0.01)
    assert not server.inject(b"<message/>")


# --- the ring -------------------------------------------------------------------------------------------------


def ring(limit: int = 1000) -> tuple[Ring, list[bytes]]:
    sent: list[bytes] = []
    return Ring(limit, lambda first, last: b"lost %d-%d" % (first, last), lambda: None), sent


def test_the_ring_drops_the_oldest_and_tells_exactly_which() -> None:
    # Given a ring for ten entries of ten bytes, and fifteen
    entries, sent = ring(100)
    for _ in range(15):
        entries.add(b"e" * 8, b"" if entries.next > 9 else b"x")
    # When a consumer comes, then it hears what is gone and what is left
    assert entries.resume("C", 100, 2, sent.append) == 3
    entries.pump()
    assert sent[0] == b"lost 3-5"
    assert [entry[8:] for entry in sent[1:]] == [b"%d" % n + (b"x" if n <= 9 else b"") for n in range(6, 16)]
    assert entries.dropped == 5


def test_a_slow_consumer_is_told_of_the_gap() -> None:
    entries, sent = ring(30)
    entries.resume("C", 1, None, sent.append)
    for _ in range(9):
        entries.add(b"e" * 9, b"")
    entries.ack("C", 1)
    assert sent[:2] == [b"eeeeeeeee1", b"lost 2-6"]


def test_a_consumer_that_left_cannot_acknowledge() -> None:
    entries, sent = ring()
    entries.resume("C", 5, None, sent.append)
    entries.add(b"", b"")
    entries.leave()
    assert not entries.ack("C", 1)
