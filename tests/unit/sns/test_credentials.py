"""Whose credentials sign the requests, and who never reads them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from aws import KEY, SECRET, Aws, refusal

from event_pusher.abc import Retry
from event_pusher_sns.settings import SnsSettings
from tests.unit.sns.conftest import Publisher
from tests.unit.sns.support import PM, SECTION, attempts, publish, sent, some


def test_requests_are_signed_with_the_options(aws: Aws, publisher: Publisher) -> None:
    sns = publisher(session_token="the-token")

    publish(sns, some(sns, 1))

    (request,) = aws.requests
    assert f"Credential={KEY}/" in request.headers["HTTP_AUTHORIZATION"]
    assert request.headers["HTTP_X_AMZ_SECURITY_TOKEN"] == "the-token"


def test_credentials_that_changed_are_used_from_the_next_request_on(
    aws: Aws, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given credentials in the environment
    monkeypatch.setenv("SNS_KEY", "AKIAOLD")
    monkeypatch.setenv("SNS_SECRET", "old")
    sns = publisher(access_key_id={"env": "SNS_KEY"}, secret_access_key={"env": "SNS_SECRET"})
    publish(sns, some(sns, 1))
    # When they are changed
    monkeypatch.setenv("SNS_KEY", "AKIANEW")
    publish(sns, some(sns, 1))
    # Then the next request is signed with the new ones
    keys = [request.headers["HTTP_AUTHORIZATION"].partition("Credential=")[2][:7] for request in aws.requests]
    assert keys == ["AKIAOLD", "AKIANEW"]


def test_a_host_may_have_credentials_of_its_own(aws: Aws, publisher: Publisher) -> None:
    # Given a host with another account
    theirs = SnsSettings.model_validate(SECTION | aws.options(access_key_id="AKIATHEIRS", account_id="999999999999"))
    sns = publisher(tools={"host_settings": {"other.example": theirs}})
    # When people of both hosts write, in one batch
    publish(sns, attempts(sns, sent(), sent(sender="carol@other.example/r")))
    # Then each goes to its own account's topic, signed with its own key
    signed = {
        request.topic: request.headers["HTTP_AUTHORIZATION"].partition("Credential=")[2].partition("/")[0]
        for request in aws.requests
    }
    assert signed == {PM: KEY, PM.replace("123456789012", "999999999999"): "AKIATHEIRS"}


def test_without_credentials_in_the_options_boto3_looks_for_them(
    aws: Aws, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIACHAIN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "chain")
    sns = publisher(access_key_id=None, secret_access_key=None)

    publish(sns, some(sns, 1))

    assert "Credential=AKIACHAIN/" in aws.requests[0].headers["HTTP_AUTHORIZATION"]


def test_without_any_credentials_it_says_where_to_set_them(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    sns = publisher(access_key_id=None, secret_access_key=None)

    (outcome,) = publish(sns, some(sns, 1))

    assert isinstance(outcome, Retry)
    assert "set access_key_id and secret_access_key" in outcome.reason


def test_a_secret_that_cannot_be_read_any_more_is_tried_again(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNS_SECRET", "here")
    sns = publisher(secret_access_key={"env": "SNS_SECRET"})
    monkeypatch.delenv("SNS_SECRET")

    assert publish(sns, some(sns, 1)) == [Retry("a secret of the section cannot be read")]


def test_nobody_reads_secrets_or_bodies(aws: Aws, publisher: Publisher, caplog: pytest.LogCaptureFixture) -> None:
    # Given the log tells everything
    caplog.set_level(logging.DEBUG)
    aws.faults += [refusal(400, "InvalidParameter"), refusal(403, "SignatureDoesNotMatch")]
    sns = publisher()
    # When requests are refused, with answers that quote what was said
    said = [publish(sns, attempts(sns, sent("Wherefore art thou?"))) for _ in range(2)]
    # Then neither is in the log, the outcomes, nor in what the backend shows
    shown = f"{caplog.text} {said!r} {sns!r} {sns.settings!r} {sns.health()}"
    assert [word for word in (SECRET, KEY, "Wherefore") if word in shown] == []
