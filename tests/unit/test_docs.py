"""What the documentation for authors says is what the code says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import event_pusher.abc as api
from event_pusher.abc import Backend, Delivery, Jid, Notification, Registration
from event_pusher.errors import DestinationGone
from event_pusher.testing import LastPlugin, attempt, make_chain, make_gateway_tools, message

DOCS = Path(__file__).parents[2] / "docs"
Row = tuple[str, ...]


def duties_in_the_code() -> list[Row]:
    """The table at the head of `event_pusher.abc`; a line without a method goes on with the one above."""
    lines = (api.__doc__ or "").splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("==")]
    starts = [match.start() for match in re.finditer("=+", lines[rules[0]])]
    rows: list[list[str]] = []
    for line in lines[rules[1] + 1 : rules[2]]:
        cells = [""] * len(starts)
        for match in re.finditer(r"\S+(?: \S+)*", line):
            column = max(number for number, start in enumerate(starts) if start <= match.start())
            cells[column] = match[0]
        if cells[0]:
            rows.append(cells)
        else:
            rows[-1] = [f"{above} {more}".strip() for above, more in zip(rows[-1], cells, strict=True)]
    return [tuple(row) for row in rows]


def duties_in_the_documentation() -> list[Row]:
    """The table under "Duties"."""
    text = (DOCS / "writing-a-backend.md").read_text().partition("## Duties")[2]
    lines = [line for line in text.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return [(method.strip("`"), *duties) for method, *duties in rows]


def blocks(file: str, language: str) -> list[str]:
    """The blocks of code in a page."""
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / file).read_text(), re.DOTALL)


def test_the_table_of_duties_is_that_of_the_code() -> None:
    assert duties_in_the_documentation() == duties_in_the_code()


def test_every_method_of_a_backend_has_its_duty() -> None:
    told = {
        name.partition(".")[2].replace("(s)", "") for name, *_ in duties_in_the_code() if name.startswith("Backend.")
    }
    methods = {name for name, value in vars(Backend).items() if callable(value) and not name.startswith("_")}
    # One row is for both of `push_event` and `push_events`; what is read from settings alone has no duty.
    assert methods - {"push_events", "Settings"} == told - {"__init__"}


def test_what_must_not_be_logged_is_said() -> None:
    (told,) = re.findall(r"\*\*Never log\*\*[^.]*\.", (DOCS / "writing-a-backend.md").read_text())
    for word in ("payload", "body", "publish options", "credentials"):
        assert word in told


@pytest.mark.parametrize(("sender", "published"), [("news@bots.example.org", False), ("alice@example.org", True)])
def test_the_port_of_the_erlang_plugin_does_what_the_original_does(sender: str, published: bool) -> None:
    # Given the port as it stands beside its original
    assert "-module(mod_push_no_bots)." in blocks("writing-a-plugin.md", "erlang")[0]
    made: dict[str, Any] = {}
    exec(compile(blocks("writing-a-plugin.md", "python")[0], "writing-a-plugin.md", "exec"), made)
    no_bots = made["NoBots"]
    # When it is asked about a message
    plugin, _ = make_chain((no_bots, no_bots.Settings()), (LastPlugin, LastPlugin.Settings()))
    answer = plugin.should_publish(Jid.parse(sender), Jid.parse("bob@example.org"), message("Hi"))
    # Then it says what the Erlang says
    assert answer is published


def test_the_gateway_of_the_documentation_is_one() -> None:
    # Given the gateway as it stands there, and a destination that answers as it is told
    made: dict[str, Any] = {}
    exec(compile(blocks("gateways.md", "python")[0], "gateways.md", "exec"), made)
    gateway = made["MineGateway"](made["MineSettings"](url="http://127.0.0.1:9"), make_gateway_tools())
    sent: list[tuple[object, ...]] = []

    def post(*what: object, **named: object) -> int:
        sent.append((*what, *named.values()))
        return 410

    made["post"] = post
    registration = Registration(1, "bob@example.org", "push.example.org", "n", (("device_id", "d"),))
    # When it publishes, Then what it is answered becomes the outcome
    one = attempt(Delivery("bob@example.org", "push.example.org", b""))
    with pytest.raises(DestinationGone):
        gateway.publish(one, registration, Notification((("last-message-body", "hello"),)))
    assert sent == [("http://127.0.0.1:9", "d", "hello", one.key)]
