"""What docs/promises.md and docs/why-twice.md name is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_promise_names_tests_that_exist() -> None:
    # Given every test there is
    there = {
        name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    # When the page names some, Then they are among them
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/promises.md").read_text()))
    assert len(named) > 15
    assert named - there == set()


def test_every_line_of_the_log_that_the_pages_quote_exists() -> None:
    # Given what the product says
    code = " ".join(file.read_text() for room in ("event_pusher", "backends") for file in (ROOT / room).rglob("*.py"))
    # When the pages quote it, Then it does
    quoted = (
        "had no answer in time; they go again at the next start", "no outcome within",
        "no answer from the push service",
        "the stream broke before the answer", "another process owns the database now; this one stops",
        "the database is in trouble, intake pauses", "the machine's clock jumped by", "the server started anew",
        "events are lost: the server's ring was full", "cannot be stored and is dropped",
    )  # fmt: skip
    pages = (ROOT / "docs/promises.md").read_text() + (ROOT / "docs/why-twice.md").read_text()
    assert [text for text in quoted if text not in code or text not in pages] == []
