"""The payload, and how batches are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_pusher_sns.wire import MAX_BYTES, MAX_ENTRIES, Notice, notice, split


@given(
    st.text(st.characters(codec="utf-8")),
    st.dictionaries(st.text(min_size=1), st.one_of(st.text(min_size=1), st.integers(), st.booleans(), st.binary())),
)
def test_a_payload_holds_all_that_is_needed(text: str, attributes: dict[str, str | int | bool | bytes]) -> None:
    made = notice("arn:aws:sns:eu-west-1:123456789012:pm.fifo", "alice@example.org", {"message": text}, {}, attributes)

    assert Notice.unpack(made.pack()) == made


@given(st.lists(st.integers(1, MAX_BYTES), max_size=40))
def test_a_request_holds_what_sns_takes_and_nothing_is_lost(sizes: list[int]) -> None:
    parts = list(split([(size, size) for size in sizes]))

    assert [size for part in parts for size in part] == sizes
    assert all(0 < len(part) <= MAX_ENTRIES and sum(part) <= MAX_BYTES for part in parts)


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"{}", b'{"message": 1}', b"\xff", b"null", b"7"])
def test_what_is_no_payload_is_an_error(payload: bytes) -> None:
    with pytest.raises(ValueError, match="not readable"):
        Notice.unpack(payload)


def test_the_text_is_not_shown() -> None:
    made = notice("pm", "alice@example.org", {"message": "Wherefore"}, {}, {"a": "hidden"})

    assert [word for word in ("Wherefore", "hidden") if word in repr(made)] == []


def test_attributes_count() -> None:
    made = notice("pm", "alice@example.org", {}, {}, {"name": "żółw"})

    assert made.size == len(b"{}") + len("nameStringżółw".encode())
