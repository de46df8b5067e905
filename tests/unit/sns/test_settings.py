"""The section: MongooseIM's options (config_parser_SUITE, mod_event_pusher_sns), and where they are refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from event_pusher.options import RetrySettings
from event_pusher_sns.settings import SnsSettings
from tests.unit.sns.support import SECTION

LEAST = {"region": "eu-west-1", "account_id": "123456789012"}


def read(**options: Any) -> SnsSettings:
    return SnsSettings.model_validate(LEAST | options)


def test_the_defaults_are_the_models() -> None:
    settings = read()

    assert (settings.plugin_module, settings.pool_size) == ("defaults", 100)
    assert (settings.publish_retry_count, settings.publish_retry_time_ms) == (2, 50)
    assert (settings.presence_updates_topic, settings.pm_messages_topic, settings.muc_messages_topic) == (None,) * 3


@pytest.mark.parametrize("name", LEAST)
def test_what_every_topic_needs_must_be_there(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        SnsSettings.model_validate({key: value for key, value in LEAST.items() if key != name})


@pytest.mark.parametrize(
    "name",
    [*SECTION, "sns_host", "plugin_module", "session_token"],
)
def test_a_text_must_be_a_text(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        SnsSettings.model_validate(SECTION | {name: 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pool_size", 0),
        ("pool_size", "many"),
        ("pool_size", True),
        ("publish_retry_count", -1),
        ("publish_retry_count", "2"),
        ("publish_retry_time_ms", -1),
        ("publish_retry_time_ms", 0.5),
    ],
)
def test_a_number_must_be_one_that_makes_sense(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        read(**{name: value})

    assert [error["loc"] for error in caught.value.errors()] == [(name,)]


def test_pool_size_is_the_number_of_workers() -> None:
    assert read(pool_size=7).wpool.workers == 7
    assert read().wpool.workers == 100
    assert read(wpool={"workers": 3}).wpool.workers == 3
    assert read(pool_size=7, wpool={"strategy": "best_worker"}).wpool.workers == 7


def test_pool_size_and_workers_cannot_both_be_said() -> None:
    with pytest.raises(ValidationError, match="the same thing"):
        read(pool_size=7, wpool={"workers": 3})


def test_the_quick_retries_come_before_the_common_schedule() -> None:
    common = RetrySettings().schedule

    assert read().retry.schedule == (0.05, 0.1, *common)
    assert read(publish_retry_count=3, publish_retry_time_ms=100).retry.schedule == (0.1, 0.2, 0.4, *common)
    assert read(publish_retry_count=0).retry.schedule == common


def test_a_base_of_nothing_is_no_fault() -> None:
    # MongooseIM accepts 0 and then fails at the first retry
    assert read(publish_retry_time_ms=0).retry.schedule[:2] == (0.001, 0.002)


def test_a_schedule_stands_for_itself() -> None:
    assert read(retry={"schedule": [7]}).retry.schedule == (7.0,)


def test_a_schedule_and_quick_retries_cannot_both_be_said() -> None:
    with pytest.raises(ValidationError, match=r"retry\.schedule"):
        read(retry={"schedule": [7]}, publish_retry_count=1)


@pytest.mark.parametrize(
    "options",
    [
        {"access_key_id": "a"},
        {"secret_access_key": "s"},
        {"session_token": "t"},
    ],
)
def test_credentials_are_whole_or_none(options: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="access_key_id"):
        read(**options)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        (None, None),
        ("sns.eu-west-1.amazonaws.com", "https://sns.eu-west-1.amazonaws.com"),
        ("localhost:4566", "https://localhost:4566"),
        ("http://127.0.0.1:4566", "http://127.0.0.1:4566"),
        ("https://sns.example.org", "https://sns.example.org"),
    ],
)
def test_a_host_is_reached_by_tls(host: str | None, url: str | None) -> None:
    assert read(sns_host=host).endpoint_url == url


@pytest.mark.parametrize(
    "host", ["", "ftp://a", "https://", "https://u:p@a", "https://a/b", "https://a:x", "https://a?b"]
)
def test_a_host_is_a_host(host: str) -> None:
    with pytest.raises(ValidationError, match="sns_host"):
        read(sns_host=host)


def test_messages_do_not_leave_the_machine_in_the_clear() -> None:
    with pytest.raises(ValidationError, match="allow_plaintext"):
        read(sns_host="http://sns.example.org")

    assert read(sns_host="http://sns.example.org", allow_plaintext=True).endpoint_url == "http://sns.example.org"


@pytest.mark.parametrize("topic", ["", "a b", "a.b", ".fifo", "x" * 257, "arn:aws:sns:eu-west-1:123456789012:pm"])
def test_a_topic_is_the_name_of_one(topic: str) -> None:
    with pytest.raises(ValidationError, match="pm_messages_topic"):
        read(pm_messages_topic=topic)


@pytest.mark.parametrize(("name", "value"), [("region", "Ireland"), ("account_id", "12345")])
def test_region_and_account_are_what_arns_are_made_of(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=name):
        read(**{name: value})


def test_no_secret_is_shown() -> None:
    shown = repr(read(access_key_id="AKIA1", secret_access_key="s3cret", session_token="t0ken"))

    assert [word for word in ("AKIA1", "s3cret", "t0ken") if word in shown] == []
