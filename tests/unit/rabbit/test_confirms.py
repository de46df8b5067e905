"""What the broker says to each message, and what is made of it."""

from __future__ import annotations

import pytest
from amqp_broker import AmqpBroker

from event_pusher.abc import DELIVERED, Dead, Retry
from event_pusher.testing import acc, attempt, chat_event
from event_pusher_rabbit.wire import Message, pack
from tests.unit.rabbit.rig import Make, hold

NACK = Retry("RabbitMQ did not take it (nack)")
UNROUTABLE = 'no queue is bound for it at the exchange "chat_msg"'


# --- confirms -------------------------------------------------------------------------------------------------------


def test_many_messages_are_outstanding_at_once(make: Make, broker: AmqpBroker) -> None:
    # Given a broker that keeps its confirms to itself
    rig = make().start()
    broker.verdict = hold
    # When many messages are handed over
    attempts = rig.publish(200)
    # Then all have left, and none is reported
    assert not any(rig.reports.of(one) for one in attempts)


def test_one_confirm_may_answer_for_many(make: Make, broker: AmqpBroker) -> None:
    # Given five messages without a confirm
    rig = make().start()
    broker.verdict = hold
    attempts = rig.publish(5)
    # When the broker confirms all up to the third
    broker.confirm(3, multiple=True)
    # Then these are delivered, and the others wait
    assert rig.outcomes(attempts[:3]) == [DELIVERED] * 3
    assert not any(rig.reports.of(one) for one in attempts[3:])


def test_confirms_may_come_in_any_order(make: Make, broker: AmqpBroker) -> None:
    # Given three messages without a confirm
    rig = make().start()
    broker.verdict = hold
    attempts = rig.publish(3)
    # When the second is confirmed, then the others
    broker.confirm(2)
    assert rig.outcomes(attempts[1:2]) == [DELIVERED]
    broker.confirm(3, multiple=True)
    # Then each is delivered once
    assert rig.outcomes(attempts) == [DELIVERED] * 3


def test_a_message_that_the_broker_does_not_take_is_tried_again(make: Make, broker: AmqpBroker) -> None:
    # Given a broker that refuses one message of three
    rig = make().start()
    broker.verdict = lambda message: "nack" if b"text 1" in message.body else "ack"
    # When they are published
    attempts = rig.publish(3)
    # Then that one alone is tried again
    assert rig.outcomes(attempts) == [DELIVERED, NACK, DELIVERED]


def test_a_confirm_for_nothing_is_passed_over(make: Make, broker: AmqpBroker) -> None:
    # Given nothing outstanding
    rig = make().start()
    # When the broker confirms something
    broker.confirm(77)
    # Then messages go on
    assert rig.outcomes(rig.publish(1)) == [DELIVERED]


def test_without_confirms_what_left_is_delivered(make: Make) -> None:
    # Given a backend that does not ask for confirms
    rig = make(confirms_enabled=False).start()
    # When a message is published
    attempts = rig.publish(1)
    # Then it counts as delivered
    assert rig.outcomes(attempts) == [DELIVERED]


# --- returns --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mandatory", [True, False])
def test_mandatory_is_asked_for_unless_it_is_turned_off(make: Make, broker: AmqpBroker, mandatory: bool) -> None:
    # Given the option, for all exchanges
    rig = make(mandatory=mandatory).start()
    # When a message is published
    rig.publish(1)
    # Then it says so
    assert [one.mandatory for one in broker.messages] == [mandatory]


def test_a_message_that_came_back_is_tried_again_for_a_while(make: Make, broker: AmqpBroker) -> None:
    # Given messages that no queue is bound for
    rig = make(unroutable_for="1h").start()
    broker.verdict = lambda _message: "return"
    # When one is published within the hour, and one after it
    soon = rig.outcomes(rig.publish(1))
    rig.clock.advance(3601.0)
    late = rig.outcomes(rig.publish(1))
    # Then the first is tried again, the second is a dead letter with the reason
    assert soon == [Retry(UNROUTABLE)]
    assert late == [Dead(UNROUTABLE)]


def test_one_confirm_for_many_tells_which_came_back(make: Make, broker: AmqpBroker) -> None:
    # Given three messages without a confirm, the second of which comes back
    rig = make().start()
    broker.verdict = hold
    attempts = rig.publish(3)
    broker.give_back(broker.messages[1])
    # When all are confirmed at once
    broker.confirm(3, multiple=True)
    # Then that one is tried again
    assert rig.outcomes(attempts) == [DELIVERED, Retry(UNROUTABLE), DELIVERED]


# --- what never goes ------------------------------------------------------------------------------------------------


def test_a_message_for_an_exchange_that_is_configured_no_more_is_a_dead_letter(make: Make) -> None:
    # Given a row of an exchange whose section was taken out
    rig = make().start()
    (waiting,) = rig.attempts(1)
    waiting.delivery.payload = pack(Message("former", "key", 1, b"{}"))
    # When it is tried
    rig.backend.publish_many([waiting], rig.reports)
    # Then it is kept, with the reason
    assert rig.outcomes([waiting]) == [Dead('the exchange "former" is not configured any more')]


def test_a_routing_key_that_amqp_cannot_carry_is_a_dead_letter(make: Make) -> None:
    # Given a JID longer than AMQP's short strings
    rig = make().start()
    (delivery,) = rig.backend.push_event(acc(), chat_event(recipient=f"{'b' * 300}@example.org"))
    waiting, after = attempt(delivery), rig.attempts(1)
    # When it is tried, and another one with it
    rig.backend.publish_many([waiting, *after], rig.reports)
    # Then it is dead, and harms nobody
    assert rig.outcomes([waiting, *after]) == [Dead("its routing key is longer than AMQP's 255 bytes"), DELIVERED]


def test_a_payload_of_somebody_else_is_a_dead_letter(make: Make) -> None:
    # Given bytes that this backend never wrote
    rig = make().start()
    (waiting,) = rig.attempts(1)
    waiting.delivery.payload = b"?"
    # When they are tried
    rig.backend.publish_many([waiting], rig.reports)
    # Then that is no reason to stop
    assert rig.outcomes([waiting]) == [Dead("its payload is not one of this backend's")]


def test_a_message_that_pika_cannot_write_is_dead_alone(make: Make, broker: AmqpBroker) -> None:
    # Given a key longer than AMQP's short strings
    rig = make().start()
    waiting, after = rig.attempts(1), rig.attempts(1)
    waiting[0].key = "k" * 300
    # When it is tried, and another one with it
    rig.backend.publish_many([*waiting, *after], rig.reports)
    # Then it is dead, and the connection lives
    assert rig.outcomes([*waiting, *after]) == [Dead("it cannot be written as AMQP: ShortStringTooLong"), DELIVERED]
    assert broker.connections == 1
