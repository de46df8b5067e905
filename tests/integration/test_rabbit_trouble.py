"""What a real RabbitMQ refuses, what the operator is told of it, and how it is reached."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from amqp_broker import eventually
from rabbit_pusher import ALL, Make, make_pusher, rabbit_options
from rabbitmq import PASSWORD, USER, RabbitMq, rabbitmq, vhost

from event_pusher.abc import DELIVERED, Dead, Retry, Unknown
from event_pusher.testing import chat_event, user_status_event

__all__ = ["make_pusher", "rabbit_options", "rabbitmq", "vhost"]  # fixtures, found by their names

pytestmark = pytest.mark.servers

# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_a_message_that_no_queue_is_bound_for_is_tried_again(make: Make, rabbitmq: RabbitMq, vhost: str) -> None:
    # Given an exchange that nobody listens to
    pusher = make(**ALL)
    # When a message is published, then a queue is bound and it is published again
    before, told = pusher.outcome(chat_event()), pusher.backend.health()
    rabbitmq.bind(vhost, "q", ("chat_msg", "#"))
    after = pusher.outcome(chat_event())
    # Then the first comes back and the operator is told, the second arrives
    assert before == Retry('no queue is bound for it at the exchange "chat_msg"')
    assert told is not None
    assert 'messages come back from the exchange "chat_msg"' in told
    assert after == DELIVERED


def test_an_exchange_that_need_not_have_a_queue_takes_everything(make: Make) -> None:
    # Given an exchange with mandatory = false
    pusher = make(chat_msg_exchange={"mandatory": False})
    # When a message is published that no queue is bound for
    outcome = pusher.outcome(chat_event())
    # Then that is fine
    assert outcome == DELIVERED
    assert pusher.backend.health() is None


def test_an_exchange_that_is_there_and_different_harms_no_other(make: Make, rabbitmq: RabbitMq, vhost: str) -> None:
    # Given an exchange of another type
    with rabbitmq.channel(vhost) as channel:
        other: Any = "fanout"  # the stubs want an enumeration that pika does not
        channel.exchange_declare("chat_msg", other)
    pusher = make(chat_msg_exchange={}, presence_exchange={"mandatory": False})
    # When a message and a presence are published
    message, presence = pusher.outcome(chat_event()), pusher.outcome(user_status_event())
    # Then the message waits, the presence goes, and health says what is different
    assert isinstance(message, Retry)
    assert presence == DELIVERED
    told = pusher.backend.health() or ""
    assert "inequivalent arg 'type' for exchange 'chat_msg'" in told


def test_an_exchange_that_is_deleted_is_declared_again(make: Make, rabbitmq: RabbitMq, vhost: str) -> None:
    # Given an exchange that somebody deletes
    pusher = make(chat_msg_exchange={"mandatory": False})
    with rabbitmq.channel(vhost) as channel:
        channel.exchange_delete("chat_msg")

    # When messages are published until one is confirmed
    def confirmed() -> bool:
        return pusher.backend.ready() and pusher.outcome(chat_event()) == DELIVERED

    # Then one is, and the exchange is back
    assert eventually(confirmed)
    assert "chat_msg" in rabbitmq.exchanges(vhost)


def test_no_permission_to_write_to_one_exchange_harms_no_other(make: Make, rabbitmq: RabbitMq, vhost: str) -> None:
    # Given a user who may write to the presence exchange alone
    rabbitmq.control("set_permissions", "-p", vhost, USER, ".*", "^presence$", ".*")
    pusher = make(chat_msg_exchange={}, presence_exchange={"mandatory": False})
    # When a message is published
    pusher.outcome(chat_event())
    # Then the next ones wait, presence goes, and health names the exchange
    assert eventually(lambda: pusher.backend.ready() and isinstance(pusher.outcome(chat_event()), Retry))
    assert pusher.outcome(user_status_event()) == DELIVERED
    assert pusher.backend.health() == 'no permission to write to the exchange "chat_msg"'


def test_a_broker_that_falls_silent_is_given_up(make: Make, rabbitmq: RabbitMq) -> None:
    # Given a connection with heartbeats
    pusher = make(chat_msg_exchange={"mandatory": False}, heartbeat=1)
    # When the broker stands still with a message on its way
    with rabbitmq.frozen():
        outcome = pusher.outcome(chat_event())
        told = eventually(lambda: "not heard of for two heartbeats" in (pusher.backend.health() or ""))
    # Then nobody knows what became of it, and when the broker goes on so do messages
    assert outcome == Unknown("the connection to RabbitMQ is gone")
    assert told, pusher.backend.health()
    assert eventually(pusher.backend.ready, 30.0)
    assert pusher.outcome(chat_event()) == DELIVERED


def test_a_message_that_is_too_large_for_the_broker_harms_no_other(make: Make, rabbitmq: RabbitMq) -> None:
    # Given a broker that takes a thousand bytes
    rabbitmq.control("eval", "application:set_env(rabbit, max_message_size, 1000).")
    pusher = make(chat_msg_exchange={"mandatory": False})
    try:
        # When a message of more is published, and one of less
        large = pusher.outcome(chat_event("x" * 1001))
        assert eventually(pusher.backend.ready)
        small = pusher.outcome(chat_event())
    finally:
        rabbitmq.control("eval", "application:set_env(rabbit, max_message_size, 134217728).")
    # Then the first is a dead letter with the reason, the second arrives
    assert isinstance(large, Dead)
    assert large.reason.startswith("RabbitMQ takes 1000 bytes at most")
    assert small == DELIVERED


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"password": "not the password"}, f'the user "{USER}" was refused; check username and password'),
        ({"virtual_host": "nowhere"}, f'the virtual host "nowhere" is not there, or closed to the user "{USER}"'),
        ({"tls": {}}, "TLS failed"),
    ],
    ids=["password", "vhost", "tls"],
)
def test_why_there_is_no_connection_is_said_without_a_secret(
    make: Make, caplog: pytest.LogCaptureFixture, given: dict[str, Any], said: str
) -> None:
    # When something of the connection's options is wrong
    caplog.set_level(logging.DEBUG)
    pusher = make(wait=False, **ALL, **given)
    # Then health says what, and nobody says the password
    assert eventually(lambda: said in (pusher.backend.health() or "")), pusher.backend.health()
    shown = f"{caplog.text} {pusher.backend.health()} {pusher.backend!r} {pusher.backend.settings!r}"
    assert PASSWORD not in shown
    assert "not the password" not in shown


# --- how it connects ------------------------------------------------------------------------------------------------


def test_it_speaks_tls_with_a_broker_whose_certificate_it_trusts(make: Make, rabbitmq: RabbitMq) -> None:
    # Given the broker's TLS port and the authority that signed its certificate
    tls = {"cacertfile": str(rabbitmq.certificate), "server_name_indication": "localhost"}
    # When a message is published there
    pusher = make(chat_msg_exchange={"mandatory": False}, port=rabbitmq.tls_port, tls=tls)
    # Then it arrives
    assert pusher.outcome(chat_event()) == DELIVERED


def test_it_does_not_speak_with_a_broker_whose_certificate_it_does_not_trust(make: Make, rabbitmq: RabbitMq) -> None:
    # When the authority is not named
    pusher = make(wait=False, **ALL, port=rabbitmq.tls_port, tls={})
    # Then it stays away, and says why
    assert eventually(lambda: "certificate is not good" in (pusher.backend.health() or "")), pusher.backend.health()
    assert not pusher.backend.ready()


def test_another_host_is_tried_when_the_first_is_away(make: Make, rabbitmq: RabbitMq) -> None:
    # Given two brokers, the first of which is not there
    pusher = make(chat_msg_exchange={"mandatory": False}, host=["127.0.0.1:1", f"127.0.0.1:{rabbitmq.port}"])
    # When a message is published
    outcome = pusher.outcome(chat_event())
    # Then the second has it
    assert outcome == DELIVERED
