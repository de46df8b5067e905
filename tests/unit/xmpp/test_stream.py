"""The component stream: handshake, batches, pings, back-off, a clean end."""

import hashlib
import logging
import queue
import socket
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
from lxml import etree

from event_pusher.errors import StreamError
from event_pusher.xmpp.stream import Stream, StreamOptions, full_jitter
from event_pusher.xmpp.transport import Transport

HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' "
    b"xmlns:stream='http://etherx.jabber.org/streams' from='push.example.org' id='s&amp;1'>"
)
DIGEST = hashlib.sha1(b"s&1secret", usedforsecurity=False).hexdigest().encode()


class Ears:
    """A listener that remembers, and can be waited for."""

    def __init__(self) -> None:
        self.told: queue.Queue[tuple[str, object]] = queue.Queue()

    def on_open(self) -> None:
        self.told.put(("open", None))

    def on_stanzas(self, stanzas: Sequence[etree._Element]) -> None:
        self.told.put(("stanzas", [stanza.get("id") for stanza in stanzas]))

    def on_closed(self, error: StreamError, suspect: etree._Element | None) -> None:
        self.told.put(("closed", (error.condition, suspect.get("id") if suspect is not None else None)))

    def next(self) -> tuple[str, object]:
        return self.told.get(timeout=10)


class Peer:
    """The server's side of one connection, by hand."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(10)
        self.got = b""

    def until(self, text: bytes) -> bytes:
        while text not in self.got:
            data = self.sock.recv(65536)
            assert data, f"the component ended before {text!r}: {self.got!r}"
            self.got += data
        before, _, self.got = self.got.partition(text)
        return before + text

    def say(self, data: bytes) -> None:
        self.sock.sendall(data)

    def admit(self) -> None:
        self.until(b"push.example.org")
        self.say(HEADER)
        assert DIGEST in self.until(b"</handshake>")
        self.say(b"<handshake/>")


class Bench:
    """A stream, its listener, and whoever it connects to."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(10)
        self.ears = Ears()
        self.counters: dict[str, int] = {}
        self.waits: list[int] = []
        self.stream: Stream | None = None
        self.peers: list[Peer] = []

    def start(
        self,
        *,
        silence: float = 60.0,
        secret: Callable[[], str] = lambda: "secret",
        cap: int = 262_144,
        patience: float = 10.0,
    ) -> Stream:
        options = StreamOptions(
            self.listener.getsockname()[:2], "push.example.org", "example.org", cap, silence, patience
        )
        self.stream = Stream(options, secret, self.ears, logging.getLogger("test"), self.counters, self._backoff)
        self.stream.start()
        return self.stream

    def _backoff(self, attempt: int) -> float:
        self.waits.append(attempt)
        return 0.0

    def accept(self) -> Peer:
        sock, _ = self.listener.accept()
        self.peers.append(Peer(sock))
        return self.peers[-1]

    def open(self, *, silence: float = 60.0, cap: int = 262_144) -> Peer:
        self.start(silence=silence, cap=cap)
        peer = self.accept()
        peer.admit()
        assert self.ears.next() == ("open", None)
        return peer


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    for peer in bench.peers:
        peer.sock.close()
    bench.listener.close()
    if bench.stream is not None:
        bench.stream.close(5)


def test_the_handshake_proves_the_secret_and_opens_the_stream(bench: Bench) -> None:
    bench.open()
    assert bench.stream is not None
    assert (bench.stream.state, bench.stream.health()) == ("open", None)


def test_stanzas_that_come_with_the_handshake_are_handed_on(bench: Bench) -> None:
    bench.start()
    peer = bench.accept()
    peer.until(b"push.example.org")
    peer.say(HEADER)
    peer.until(b"</handshake>")
    peer.say(b"<handshake/><message id='1'/><message id='2'/>")
    assert [bench.ears.next(), bench.ears.next()] == [("open", None), ("stanzas", ["1", "2"])]


def test_one_read_is_one_batch(bench: Bench) -> None:
    peer = bench.open()
    peer.say(b"<message id='1'/><iq id='2'/><presence id='3'/>")
    assert bench.ears.next() == ("stanzas", ["1", "2", "3"])
    assert bench.counters["stanzas_read"] == 3


def test_what_many_threads_send_arrives_whole(bench: Bench) -> None:
    # Given an open stream
    peer = bench.open()
    stream = bench.stream
    assert stream is not None
    # When four threads write stanzas at once
    stanzas = [[b"<message id='%d-%d'/>" % (thread, n) for n in range(200)] for thread in range(4)]

    def write(own: list[bytes]) -> None:
        for one in own:
            stream.send(one)

    threads = [threading.Thread(target=write, args=(own,)) for own in stanzas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stream.send(b"<last/>")
    # Then none is torn, and each thread's are in order
    got = peer.until(b"<last/>")
    for own in stanzas:
        places = [got.index(one) for one in own]
        assert places == sorted(places)


def test_before_it_is_open_nothing_is_sent(bench: Bench) -> None:
    stream = bench.start()
    assert not stream.send(b"<message/>")
    assert stream.queued == 0


def test_a_wrong_secret_is_logged_with_its_cure_and_without_the_secret(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a server that refuses the handshake
    bench.start()
    peer = bench.accept()
    peer.until(b"push.example.org")
    peer.say(HEADER)
    peer.until(b"</handshake>")
    peer.say(
        b"<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
        b"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>Bad token</text></stream:error></stream:stream>"
    )
    # Then the stream is tried again, and the log says what to do
    bench.accept()
    assert "not-authorized" in caplog.text
    assert "secret is wrong" in caplog.text
    assert DIGEST.decode() not in caplog.text
    assert bench.counters["streams_refused"] == 1


@pytest.mark.parametrize(
    ("condition", "cure"), [("conflict", "another process"), ("host-unknown", "event-pusher setup")]
)
def test_a_refusal_names_its_cure(bench: Bench, caplog: pytest.LogCaptureFixture, condition: str, cure: str) -> None:
    bench.start()
    peer = bench.accept()
    peer.say(
        HEADER + f"<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>".encode()
    )
    bench.accept()
    assert cure in caplog.text


def test_a_secret_that_cannot_be_read_is_no_crash(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    def reveal() -> str:
        raise ValueError("the environment has no variable X")

    bench.start(secret=reveal)
    bench.accept().say(HEADER)
    bench.accept()
    assert "has no variable X" in caplog.text


@pytest.mark.parametrize(
    ("last", "condition"),
    [
        (b"", "connection-lost"),
        (b"</stream:stream>", "closed"),
        (
            b"<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
            "system-shutdown",
        ),
    ],
)
def test_a_server_that_closes_the_stream_is_connected_to_again(bench: Bench, last: bytes, condition: str) -> None:
    peer = bench.open()
    peer.say(b"<message id='1'/>" + last)
    peer.sock.shutdown(socket.SHUT_WR)
    assert bench.ears.next() == ("stanzas", ["1"])
    assert bench.ears.next() == ("closed", (condition, None))
    bench.accept().admit()
    assert bench.ears.next() == ("open", None)


@pytest.mark.parametrize("bad", [b"\xff</message>", b"&#1;</message>", b"<!DOCTYPE x>", b"x" * 20_000])
def test_a_stanza_that_breaks_the_stream_is_named_after_the_good_ones(bench: Bench, bad: bytes) -> None:
    peer = bench.open(cap=10_000)
    peer.say(b"<message id='1'/>" + b"<presence/>" * 100 + b"<message id='2'><body>" + bad)
    assert bench.ears.next()[0] == "stanzas"
    seen = bench.ears.next()
    while seen[0] == "stanzas":
        seen = bench.ears.next()
    assert seen[1] in (("not-well-formed", "2"), ("policy-violation", "2"))
    assert bench.counters["stanzas_refused"] == 1


def test_the_waits_grow_while_no_stream_lasts(bench: Bench) -> None:
    bench.start()
    for _ in range(4):
        bench.accept().sock.close()
    assert bench.waits[:3] == [0, 1, 2]


def test_the_back_off_is_jittered_and_bounded() -> None:
    waits = [full_jitter(attempt) for attempt in range(20) for _ in range(50)]
    assert max(waits) <= 60.0
    assert min(waits) >= 0.0
    assert max(full_jitter(0) for _ in range(50)) <= 1.0
    assert len(set(waits)) > 900


def test_a_silent_server_is_pinged_and_one_that_answers_stays(bench: Bench) -> None:
    peer = bench.open(silence=0.05)
    ping = peer.until(b"</iq>")
    assert b"urn:xmpp:ping" in ping
    assert b'to="example.org"' in ping
    peer.say(b"<iq type='result' id='ping'/>")
    assert bench.ears.next() == ("stanzas", ["ping"])
    peer.until(b"</iq>")


def test_a_dead_server_is_found(bench: Bench) -> None:
    # Given a stream that waits hardly at all
    bench.start(silence=0.05, patience=0.2)
    bench.accept().admit()
    assert bench.ears.next() == ("open", None)
    # When the server is silent, and does not answer the ping either
    # Then the stream is given up and another one is tried
    assert bench.ears.next() == ("closed", ("connection-timeout", None))
    bench.accept()


def test_a_server_that_is_away_is_waited_for(bench: Bench) -> None:
    address = bench.listener.getsockname()
    bench.listener.close()
    options = StreamOptions(address[:2], "push.example.org", "example.org")
    stop = threading.Event()

    def backoff(attempt: int) -> float:
        if attempt == 2:
            stop.set()
        return 0.0

    away = Stream(options, lambda: "secret", bench.ears, logging.getLogger("test"), bench.counters, backoff)
    away.start()
    assert stop.wait(10)
    away.close(5)
    assert "connection-failed" in (away.health() or "")


def test_closing_sends_what_is_queued_and_ends_the_stream(bench: Bench) -> None:
    # Given a stream with much to send and a server that reads late
    peer = bench.open()
    stream = bench.stream
    assert stream is not None
    for n in range(50):
        stream.send(b"<message id='%d'/>" % n + b" " * 50_000)
    # When it is closed
    closer = threading.Thread(target=stream.close, args=(10.0,))
    closer.start()
    # Then all of it arrives, and the stream's end
    assert b"<message id='49'/>" in peer.until(b"</stream:stream>")
    peer.say(b"</stream:stream>")
    closer.join(10)
    assert not closer.is_alive()
    assert stream.state == "closed"
    assert not stream.send(b"<message/>")


def test_closing_twice_or_unconnected_is_fine(bench: Bench) -> None:
    stream = bench.start()
    stream.close(0.5)
    stream.close(0.5)
    assert stream.state == "closed"


def test_a_queue_over_eight_megabytes_is_full() -> None:
    # Given a connection whose peer does not read
    one, other = socket.socketpair()
    transport = Transport(one)
    transport.send(b"x" * 8_000_001)
    # Then it says so, without blocking
    assert transport.full
    assert transport.queued == 8_000_001
    transport.close()
    other.close()
