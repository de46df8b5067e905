"""What becomes of a request when the network, or the receiver, does not do its part."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from itertools import islice

import pytest
from webhook_sink import PATIENCE, Reply, Sink
from webhooks import one_attempt, publish, running

from event_pusher.abc import DELIVERED, Attempt, Outcome, Retry, Unknown, Unsent
from event_pusher.clock import SystemClock
from event_pusher.testing import acc, attempt, chat_event
from event_pusher_http.backend import HttpBackend


def test_a_refused_connection_is_a_failure_of_which_nothing_left(sink: Sink) -> None:
    sink.go_away()

    with running({"url": sink.url}) as backend:
        assert publish(backend) == Retry("no connection: Connection refused")


def test_a_name_that_does_not_exist_is_a_failure_of_which_nothing_left() -> None:
    with running({"url": "http://nowhere.invalid/"}) as backend:
        assert publish(backend) == Retry("the host's name cannot be looked up")


def test_a_receiver_that_comes_back_gets_what_is_sent_then(sink: Sink) -> None:
    with running({"url": sink.url}) as backend:
        assert publish(backend) == DELIVERED
        sink.go_away()
        assert publish(backend) != DELIVERED
        sink.come_back()

        assert publish(backend) == DELIVERED


@pytest.mark.parametrize(
    "raw",
    [b"", b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\nContent-Le", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n"],
)
def test_a_connection_that_ends_before_an_answer_tells_nothing(sink: Sink, raw: bytes) -> None:
    sink.answer = lambda got: Reply(raw=raw, close=True)

    with running({"url": sink.url}) as backend:
        outcome = publish(backend)

    assert isinstance(outcome, Unknown)
    assert len(sink.requests) == 1


def test_an_answer_whose_text_breaks_off_is_an_answer(sink: Sink) -> None:
    sink.answer = lambda got: Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", close=True)

    with running({"url": sink.url}) as backend:
        assert publish(backend) == DELIVERED


def test_no_answer_in_time_tells_nothing(sink: Sink) -> None:
    sink.hold()

    with running({"url": sink.url, "read_timeout": 0.1}) as backend:
        assert publish(backend) == Unknown("no answer within 0.1 s")


def test_a_receiver_that_answers_byte_by_byte_is_given_no_more_time(sink: Sink) -> None:
    # Given a receiver that always has a byte more to say
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not ended.wait(0.02):
                    connection.sendall(b"x")
            except OSError:
                pass

    thread = threading.Thread(target=drip)
    thread.start()
    # When a request goes there, each byte in time and all of them not
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    began = time.monotonic()
    with running({"url": url, "connect_timeout": 0.1, "read_timeout": 0.3}) as backend:
        outcome = publish(backend)
    # Then it ends
    assert isinstance(outcome, Unknown)
    assert time.monotonic() - began < PATIENCE / 2
    ended.set()
    thread.join(PATIENCE)
    listener.close()


def test_an_attempt_without_time_is_not_sent(sink: Sink) -> None:
    with running({"url": sink.url}) as backend:
        outcome = publish(backend, one_attempt(backend, deadline=0.5))

    assert outcome == Unsent("no time was left to wait for an answer")
    assert sink.requests == []


def test_an_attempt_waits_no_longer_than_until_its_deadline(sink: Sink) -> None:
    sink.hold()
    clock = SystemClock()
    with running({"url": sink.url, "read_timeout": 10}, clock=clock) as backend:
        began = clock.monotonic()

        outcome = publish(backend, one_attempt(backend, deadline=began + 1.2))

        assert isinstance(outcome, Unknown)
        assert clock.monotonic() - began < PATIENCE / 2


def test_a_connection_is_used_again(sink: Sink) -> None:
    with running({"url": sink.url}) as backend:
        outcomes = [publish(backend) for _ in range(20)]

    assert outcomes == [DELIVERED] * 20
    assert {got.connection for got in sink.requests} == {1}


def test_a_connection_that_was_closed_meanwhile_is_not_used_again(sink: Sink) -> None:
    # Given a receiver that closes its connection after an answer
    with running({"url": sink.url}) as backend:
        sink.answer = lambda got: Reply(close=True)
        assert publish(backend) == DELIVERED
        _wait_until_closed(backend)
        # Then the next request has a new one
        assert publish(backend) == DELIVERED
    assert [got.connection for got in sink.requests] == [1, 2]


def _wait_until_closed(backend: HttpBackend) -> None:
    """Wait until the other end's FIN is here."""
    pool = next(iter(backend._everywhere[0]._client._manager.pools._container.values()))
    assert pool.pool is not None
    sock = next(connection.sock for connection in pool.pool.queue if connection is not None)
    sock.settimeout(PATIENCE)
    assert sock.recv(1, socket.MSG_PEEK) == b""


def test_eight_threads_may_publish_at_once(sink: Sink) -> None:
    with running({"url": sink.url, "concurrency": 8}) as backend, ThreadPoolExecutor(8) as pool:
        attempts = [one_attempt(backend) for _ in range(400)]

        outcomes = list(pool.map(lambda one: publish(backend, one), attempts))

    assert Counter(outcomes) == {DELIVERED: 400}
    assert len(sink.requests) == 400
    assert sink.connections <= 8


def test_no_more_requests_are_under_way_than_the_handler_allows(sink: Sink) -> None:
    # Given a handler of two at once that hangs
    sink.hold()
    with running({"url": sink.url, "concurrency": 2}) as backend, ThreadPoolExecutor(8) as pool:
        attempts = [one_attempt(backend) for _ in range(8)]
        # When eight workers come
        futures = [pool.submit(publish, backend, one) for one in attempts]
        sink.wait_for(2)
        # Then six go away with nothing sent, and the two are delivered when the receiver wakes up
        turned_away = _first(futures, 6)
        sink.let_go()
        assert [type(outcome) for outcome in turned_away] == [Unsent] * 6
        assert Counter(type(one.result(PATIENCE)) for one in futures)[type(DELIVERED)] == 2
    assert sink.most_at_once == 2


def _first(futures: list[Future[Outcome]], number: int) -> list[Outcome]:
    """Wait for the first so many."""
    return [future.result() for future in islice(as_completed(futures, PATIENCE), number)]


def test_a_handler_that_hangs_takes_no_turn_of_another(sink: Sink) -> None:
    with Sink() as other:
        sink.hold()
        handlers = [{"url": sink.url, "concurrency": 1}, {"url": other.url, "concurrency": 1}]
        with running(*handlers) as backend, ThreadPoolExecutor(1) as pool:
            hanging = pool.submit(publish, backend, one_attempt(backend))
            sink.wait_for(1)

            assert publish(backend, _attempt_for(backend, other.url)) == DELIVERED

            sink.let_go()
            assert hanging.result(PATIENCE) == DELIVERED


def _attempt_for(backend: HttpBackend, url: str) -> Attempt:
    made = backend.push_event(acc(), chat_event(direction="in", state=None))
    return next(attempt(one) for one in made if one.target.startswith(url))


def test_closing_cuts_off_what_does_not_end(sink: Sink) -> None:
    # Given a request that hangs
    sink.hold()
    with running({"url": sink.url}) as backend, ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(publish, backend, one_attempt(backend))
        sink.wait_for(1)
        # When the backend is closed
        backend.close(0.1)
        # Then the request ends without an answer
        assert isinstance(hanging.result(PATIENCE), Unknown)


def test_nothing_is_sent_after_closing(sink: Sink) -> None:
    with running({"url": sink.url}) as backend:
        one = one_attempt(backend)
        backend.close(0.1)

        assert publish(backend, one) == Unsent("the backend is closed")

    assert sink.requests == []


def test_what_fails_again_and_again_is_a_matter_of_health(sink: Sink) -> None:
    with running({"url": f"{sink.url}/hook?token=s3cret"}) as backend:
        sink.answer = lambda got: Reply(500)
        for _ in range(3):
            publish(backend)
        assert backend.health() == (
            f"{sink.url}/hook?…: 3 failures in a row, the last one: HTTP 500 Internal Server Error"
        )

        sink.answer = lambda got: Reply()
        publish(backend)

        assert backend.health() is None
