"""The building blocks of settings."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from event_pusher.options import BackendSettings, RetrySettings, Secret, Section, Wpool, parse_duration

# --- durations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (3, 3.0),
        (0.5, 0.5),
        ("250ms", 0.25),
        ("30s", 30),
        ("5m", 300),
        ("5min", 300),
        (" 1.5 h ", 5400),
        ("7d", 604800),
        ("1w", 604800),
    ],
)
def test_a_duration_is_seconds_or_a_text(said: object, seconds: float) -> None:
    assert parse_duration(said) == seconds


@pytest.mark.parametrize("said", ["", "5", "h", "5 years", "-3s", "1e3s", True, None, [5]])
def test_what_is_no_duration_is_refused(said: object) -> None:
    with pytest.raises(ValueError, match="a duration is a number of seconds or a text"):
        parse_duration(said)


@pytest.mark.parametrize("said", [-1.0, float("inf"), float("nan")])
def test_a_duration_is_finite_and_not_negative(said: float) -> None:
    with pytest.raises(ValidationError):
        BackendSettings(max_age=said)


# --- sections -----------------------------------------------------------------------------------------------------


class Some(Section):
    number: int = 0


def test_a_section_refuses_an_unknown_key() -> None:
    with pytest.raises(ValidationError, match="numbr"):
        Some.model_validate({"numbr": 1})


def test_a_section_does_not_quote_what_it_refuses() -> None:
    with pytest.raises(ValidationError) as caught:
        Some.model_validate({"number": "hidden"})

    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("schedule", [[], [0], [1, "0s"]])
def test_a_schedule_names_waits(schedule: list[object]) -> None:
    with pytest.raises(ValidationError, match="at least one wait, each longer than 0"):
        RetrySettings.model_validate({"schedule": schedule})


def test_the_workers_have_mongooseims_defaults() -> None:
    wpool = Wpool()

    assert (wpool.workers, wpool.strategy, wpool.call_timeout, wpool.max_worker_queue_len) == (
        10,
        "available_worker",
        5000,
        None,
    )


# --- secrets ------------------------------------------------------------------------------------------------------


def test_a_secret_may_stand_there() -> None:
    assert Secret.model_validate("hidden").reveal() == "hidden"


def test_a_secret_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = Secret(env="EP_TEST_SECRET")
    monkeypatch.setenv("EP_TEST_SECRET", "hidden")

    assert secret.reveal() == "hidden"


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(" hidden\n")

    assert Secret(file=str(tmp_path / "key")).reveal() == "hidden"


def test_a_secret_is_read_at_each_use(tmp_path: Path) -> None:
    secret = Secret(file=str(tmp_path / "key"))
    (tmp_path / "key").write_text("old")
    assert secret.reveal() == "old"

    (tmp_path / "key").write_text("new")

    assert secret.reveal() == "new"


def test_systemds_credentials_come_before_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a file of one name in both places
    for place in ("credentials", "folder"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "key").write_text(place)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    secret = Secret(file="key")
    secret.relative_to(tmp_path / "folder")
    # Then systemd's counts, as long as there is one
    assert secret.reveal() == "credentials"
    (tmp_path / "credentials" / "key").unlink()
    assert secret.reveal() == "folder"


def test_an_absolute_file_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("absolute")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    secret = Secret(file=str(tmp_path / "key"))
    secret.relative_to(tmp_path / "elsewhere")

    assert secret.path() == tmp_path / "key"


@pytest.mark.parametrize("said", [{}, {"file": "a", "env": "B"}, {"text": "hidden", "file": "a"}])
def test_a_secret_stands_in_exactly_one_place(said: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as caught:
        Secret.model_validate(said)

    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("secret", [Secret(text="hidden"), Secret(env="NAME"), Secret(file="name")])
def test_a_secret_is_never_shown(secret: Secret) -> None:
    class Holder(Section):
        secret: Secret

    holder = Holder(secret=secret)

    assert "hidden" not in f"{secret!r} {secret} {holder!r} {holder}"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")

    with pytest.raises(ValueError, match="the environment has no variable EP_TEST_NONE"):
        Secret(env="EP_TEST_NONE").reveal()
    with pytest.raises(ValueError, match="nowhere: No such file or directory"):
        Secret(file=str(tmp_path / "nowhere")).reveal()
    with pytest.raises(ValueError, match="binary: UnicodeDecodeError"):
        Secret(file=str(tmp_path / "binary")).reveal()
