"""The connection's states, with a broker that does on command what a real one does by chance."""

from __future__ import annotations

import logging
import time

import pytest
from amqp_broker import AmqpBroker, eventually

from event_pusher.abc import DELIVERED, Retry, Unknown, Unsent
from tests.unit.rabbit.rig import Make, hold

# --- topology -------------------------------------------------------------------------------------------------------


def test_exchanges_are_declared_on_every_connection(make: Make, broker: AmqpBroker) -> None:
    # Given a backend with two exchanges
    rig = make(presence_exchange={"durable": True}).start()
    # When its connection breaks
    broker.drop()
    # Then it declares both again
    once = [("presence", "topic", True), ("chat_msg", "topic", False)]
    assert broker.wait_for(lambda: broker.declared == once * 2)
    assert eventually(rig.backend.ready)


def test_an_exchange_that_is_refused_is_asked_for_again(make: Make, broker: AmqpBroker) -> None:
    # Given an exchange that is there with another type
    broker.refusals["chat_msg"] = "PRECONDITION_FAILED - inequivalent arg 'type'"
    rig = make().start()
    waiting = rig.attempts(2)
    rig.backend.publish_many(waiting[:1], rig.reports)
    said = "the exchange \"chat_msg\" was refused: PRECONDITION_FAILED - inequivalent arg 'type'"
    assert rig.outcomes(waiting[:1]) == [Retry(said)]
    assert rig.backend.health() == said
    # When somebody deletes it
    broker.refusals.clear()
    # Then it is declared, without a new connection
    assert eventually(lambda: rig.backend.health() is None)
    assert rig.outcomes(rig.publish(1)) == [DELIVERED]
    assert broker.connections == 1


# --- blocked --------------------------------------------------------------------------------------------------------


def test_a_blocked_connection_takes_nothing_and_loses_nothing(make: Make, broker: AmqpBroker) -> None:
    # Given a message on its way when the broker runs short of memory
    rig = make().start()
    broker.verdict = hold
    under_way = rig.publish(1)
    broker.block("low on memory")
    assert eventually(lambda: not rig.backend.ready())
    # When another one is handed over
    refused = rig.attempts(1)
    rig.backend.publish_many(refused, rig.reports)
    # Then it goes back, health says why, and the first is still waited for
    (outcome,) = rig.outcomes(refused)
    assert isinstance(outcome, Unsent)
    assert rig.backend.health() == "RabbitMQ takes no messages now: low on memory"
    assert not rig.reports.of(under_way[0])


def test_an_unblocked_connection_goes_on(make: Make, broker: AmqpBroker) -> None:
    # Given a connection that was blocked
    rig = make().start()
    broker.block()
    assert eventually(lambda: not rig.backend.ready())
    # When that is over
    broker.unblock()
    # Then messages go, on the same connection
    assert eventually(rig.backend.ready)
    assert rig.outcomes(rig.publish(1)) == [DELIVERED]
    assert broker.connections == 1
    assert rig.backend.health() is None


# --- what breaks ----------------------------------------------------------------------------------------------------


def test_what_is_outstanding_when_the_connection_breaks_is_unknown(make: Make, broker: AmqpBroker) -> None:
    # Given messages without a confirm
    rig = make().start()
    broker.verdict = hold
    attempts = rig.publish(3)
    # When the connection breaks
    broker.drop()
    # Then nobody knows
    assert rig.outcomes(attempts) == [Unknown("the connection to RabbitMQ is gone")] * 3


def test_what_is_outstanding_when_the_channel_is_closed_is_unknown(make: Make, broker: AmqpBroker) -> None:
    # Given a message without a confirm
    rig = make().start()
    broker.verdict = hold
    attempts = rig.publish(1)
    # When the broker closes the channel
    broker.close_channels(404, "NOT_FOUND - no exchange 'chat_msg' in vhost '/'")
    # Then nobody knows, and a new channel of the same connection goes on
    assert rig.outcomes(attempts) == [Unknown("RabbitMQ closed the channel before it confirmed")]
    broker.verdict = lambda _message: "ack"
    assert eventually(rig.backend.ready)
    assert rig.outcomes(rig.publish(1)) == [DELIVERED]
    assert broker.connections == 1


def test_without_a_connection_nothing_leaves(make: Make, broker: AmqpBroker) -> None:
    # Given a broker that is away
    broker.leave()
    rig = make()
    rig.backend.start()
    attempts = rig.attempts(2)
    # When messages are handed over
    rig.backend.publish_many(attempts, rig.reports)
    # Then they go back unsent, and nothing of them is sent later
    assert all(isinstance(one, Unsent) for one in rig.outcomes(attempts))
    broker.come_back()
    assert eventually(rig.backend.ready)
    assert rig.outcomes(rig.publish(1)) == [DELIVERED]
    assert len(broker.messages) == 1


def test_it_says_that_the_broker_is_away_and_back(
    make: Make, broker: AmqpBroker, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a connection
    caplog.set_level(logging.INFO)
    rig = make().start()
    # When the broker leaves, and comes back after several tries
    broker.leave()
    assert eventually(lambda: "no connection to RabbitMQ at 127.0.0.1" in (rig.backend.health() or ""))
    broker.come_back()
    assert eventually(rig.backend.ready)
    # Then all is well
    assert rig.backend.health() is None
    assert caplog.messages[-1] == "connected to RabbitMQ"


def test_a_password_that_cannot_be_read_is_said_and_read_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a secret that is not there
    monkeypatch.delenv("RABBIT_PASSWORD", raising=False)
    rig = make(password={"env": "RABBIT_PASSWORD"})
    rig.backend.start()
    assert eventually(lambda: "no variable RABBIT_PASSWORD" in (rig.backend.health() or ""))
    # When it is there
    monkeypatch.setenv("RABBIT_PASSWORD", "now it is")
    # Then it connects
    assert eventually(rig.backend.ready)


def test_a_broker_that_falls_silent_is_noticed(make: Make, broker: AmqpBroker) -> None:
    # Given a broker that takes connections and says nothing
    broker.silent = True
    rig = make(connect_timeout=0.1)
    # When the backend starts
    rig.backend.start()
    # Then it says so in time
    assert eventually(lambda: "no answer in time" in (rig.backend.health() or "")), rig.backend.health()


# --- the end --------------------------------------------------------------------------------------------------------


def test_close_waits_for_confirms(make: Make, broker: AmqpBroker) -> None:
    # Given a message whose confirm takes its time
    rig = make().start()
    broker.verdict = hold
    attempts = rig.publish(1)
    # When the backend is closed, and the confirm comes then
    timer = broker.later(0.2, lambda: broker.confirm(1))
    rig.backend.close(5.0)
    # Then it counts
    assert rig.outcomes(attempts) == [DELIVERED]
    timer.join()


def test_close_sends_what_was_taken_before(make: Make, broker: AmqpBroker) -> None:
    # Given many messages that were just handed over
    rig = make().start()
    attempts = rig.attempts(500)
    rig.backend.publish_many(attempts, rig.reports)
    # When the backend is closed
    rig.backend.close(10.0)
    # Then they are all delivered
    assert rig.outcomes(attempts) == [DELIVERED] * 500


def test_close_does_not_wait_for_a_silent_broker(make: Make, broker: AmqpBroker) -> None:
    # Given a message that is never confirmed
    rig = make().start()
    broker.silent = True
    attempts = rig.attempts(1)
    rig.backend.publish_many(attempts, rig.reports)
    # When the backend is closed
    before = time.monotonic()
    rig.backend.close(0.5)
    # Then it ends in time, and says that nobody knows
    assert time.monotonic() - before < 2.0
    assert rig.outcomes(attempts) == [Unknown("the connection to RabbitMQ is gone")]


def test_a_close_right_after_the_start_leaves_nothing_open(make: Make) -> None:
    for _ in range(20):
        # Given a backend whose thread has just begun
        rig = make()
        rig.backend.start()
        # When it is closed
        rig.backend.close(5.0)
        # Then no socket is left behind (pytest would say so), and no thread
        assert not rig.backend._connection._thread.is_alive()


def test_nothing_is_sent_after_close(make: Make, broker: AmqpBroker) -> None:
    # Given a backend that was closed
    rig = make().start()
    rig.backend.close(1.0)
    # When a message is handed over
    attempts = rig.attempts(1)
    rig.backend.publish_many(attempts, rig.reports)
    # Then it goes back
    (outcome,) = rig.outcomes(attempts)
    assert isinstance(outcome, Unsent)
    assert broker.messages == []
