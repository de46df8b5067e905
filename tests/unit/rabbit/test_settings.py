"""The section ``[backends.rabbit]``: the model's options and defaults (its config_parser_SUITE, 129 and 133)."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from event_pusher.errors import SettingsError
from event_pusher.testing import make_tools
from event_pusher_rabbit.backend import RabbitBackend
from event_pusher_rabbit.settings import RabbitSettings

SECTIONS = {
    "presence_exchange": {"name": "presence", "type": "topic", "durable": False},
    "chat_msg_exchange": {
        "name": "chat_msg",
        "type": "topic",
        "durable": False,
        "sent_topic": "chat_msg_sent",
        "recv_topic": "chat_msg_recv",
    },
    "groupchat_msg_exchange": {
        "name": "groupchat_msg",
        "type": "topic",
        "durable": False,
        "sent_topic": "groupchat_msg_sent",
        "recv_topic": "groupchat_msg_recv",
    },
}


def read(**options: Any) -> RabbitSettings:
    return RabbitSettings.model_validate(options)


def test_without_sections_there_is_no_exchange() -> None:
    assert read().exchanges() == ()


@pytest.mark.parametrize(("section", "defaults"), SECTIONS.items(), ids=SECTIONS)
def test_an_empty_section_has_the_models_defaults(section: str, defaults: dict[str, Any]) -> None:
    (exchange,) = read(**{section: {}}).exchanges()

    assert exchange.model_dump(exclude={"mandatory"}) == defaults


@pytest.mark.parametrize("section", SECTIONS)
def test_an_exchange_may_be_called_and_made_otherwise(section: str) -> None:
    (exchange,) = read(**{section: {"name": "mine", "type": "x-mine", "durable": True}}).exchanges()

    assert (exchange.name, exchange.type, exchange.durable) == ("mine", "x-mine", True)


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"type": ""},
        {"durable": "sometimes"},
        {"sent_topic": ""},
        {"recv_topic": ""},
        {"topic": "x"},
        {"name": "n" * 256},
        {"name": "a\0b"},
    ],
    ids=str,
)
def test_what_is_wrong_in_an_exchange_is_refused(section: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(**{section: wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 65536},
        {"port": 0},
        {"host": ""},
        {"host": []},
        {"host": "mq:99999"},
        {"host": "amqp://mq"},
        {"username": ""},
        {"virtual_host": ""},
        {"heartbeat": -1},
        {"tls": {"cacertfile": "relative.pem"}},
        {"tls": {"verify_mode": "perhaps"}},
    ],
    ids=str,
)
def test_what_is_wrong_in_the_connection_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(**wrong)


def test_the_connection_has_the_models_defaults() -> None:
    settings = read()

    assert settings.brokers() == (("localhost", 5672),)
    assert (settings.username, settings.password.reveal(), settings.virtual_host) == ("guest", "guest", "/")


@pytest.mark.parametrize(
    ("given", "brokers"),
    [
        ({"tls": {}}, (("localhost", 5671),)),
        ({"host": "mq", "port": 1234, "tls": {}}, (("mq", 1234),)),
        ({"host": ["mq1", "mq2:99", "[::1]:7"]}, (("mq1", 5672), ("mq2", 99), ("::1", 7))),
    ],
    ids=str,
)
def test_brokers_are_found_in_host_and_port(given: dict[str, Any], brokers: tuple[tuple[str, int], ...]) -> None:
    assert read(**given).brokers() == brokers


def test_confirms_and_mandatory_are_on_by_default() -> None:
    settings = read()

    assert settings.confirms_enabled
    assert settings.mandatory


def test_a_password_is_never_shown() -> None:
    assert "s3cret" not in repr(read(password="s3cret"))


def test_one_exchange_may_serve_two_streams() -> None:
    settings = read(chat_msg_exchange={"name": "all"}, groupchat_msg_exchange={"name": "all"})

    assert [one.name for one in settings.exchanges()] == ["all", "all"]


def test_one_exchange_cannot_be_of_two_kinds() -> None:
    with pytest.raises(ValidationError, match='"all" is there twice'):
        read(chat_msg_exchange={"name": "all"}, groupchat_msg_exchange={"name": "all", "durable": True})


def test_a_host_may_have_exchanges_of_its_own() -> None:
    # Given a host that calls its exchange otherwise
    special = read(chat_msg_exchange={"name": "theirs"})
    # When the backend is made
    tools = make_tools(host_settings={"other.example": special})
    backend = RabbitBackend(read(chat_msg_exchange={}), tools)
    # Then it is fine
    assert backend.health() is not None


@pytest.mark.parametrize(
    ("special", "said"),
    [
        ({"chat_msg_exchange": {}, "virtual_host": "theirs"}, "virtual_host is the same for all hosts"),
        ({"chat_msg_exchange": {"durable": True}}, '"chat_msg" is there twice'),
    ],
    ids=["connection", "exchange"],
)
def test_a_host_cannot_have_a_connection_or_another_kind_of_exchange(special: dict[str, Any], said: str) -> None:
    tools = make_tools(name="rabbit", host_settings={"other.example": read(**special)})

    with pytest.raises(SettingsError, match=said):
        RabbitBackend(read(chat_msg_exchange={}), tools)
