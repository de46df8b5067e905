"""What is sent, as a push service reads it, and what its answers mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_pusher.abc import DELIVERED, Gone, IqAnswer, Notification, Outcome, Registration, Retry, Unknown, Unsent
from event_pusher.testing.factories import BOB
from event_pusher_push.wire import outcome_of_answer, render, reveal, with_item_id
from tests.unit.push.wire_reader import read

NASTY = "<item>]]>&amp;'\"\u2028 \U0001f600"


def registration(node: str = "node-1", options: tuple[tuple[str, str], ...] = ()) -> Registration:
    """Make a registration of Bob's."""
    return Registration(1, BOB, "push.example.net", node, options)


def test_without_options_there_is_no_such_element() -> None:
    assert read(render(registration(), Notification((("message-count", "1"),)))).options is None


def test_without_fields_there_is_no_form() -> None:
    assert read(render(registration(), Notification())).fields == []
    assert b"jabber:x:data" not in render(registration(), Notification())


def test_markup_survives_everywhere() -> None:
    # Given markup in the node, a field and an option
    payload = render(registration(NASTY, ((NASTY, NASTY),)), Notification(((NASTY, NASTY),)))
    # Then a service reads it as it was, and the item has its id
    publish = read(with_item_id(payload, "key-1"))
    assert publish.node == NASTY
    assert publish.item == "key-1"
    assert publish.fields == [(NASTY, NASTY)]
    assert publish.options == [(NASTY, NASTY)]


def test_blanks_survive_everywhere() -> None:
    text = "a\tb\nc\rd"
    publish = read(render(registration(text, ((text, text),)), Notification((("last-message-body", text),))))
    assert publish.node == text
    assert publish.fields == [("last-message-body", text)]
    assert publish.options == [(text, text)]


@pytest.mark.parametrize("illegal", ["\x00", "\x08", "\x1b", "\ud800", "\uffff", "\ufffe"])
def test_what_xml_does_not_allow_is_replaced(illegal: str) -> None:
    publish = read(render(registration(), Notification((("last-message-body", f"a{illegal}b"),))))
    assert publish.fields == [("last-message-body", "a\ufffdb")]


@given(st.text(st.characters()), st.text(st.characters(), min_size=1))
def test_any_text_makes_a_publish_that_can_be_read(body: str, node: str) -> None:
    assert len(read(render(registration(node), Notification((("last-message-body", body),)))).fields) == 1


def test_a_key_with_markup_does_not_break_the_stream() -> None:
    payload = render(registration(), Notification())
    assert read(with_item_id(payload, "it's <1>")).item == "it's <1>"


def test_extra_xml_stands_beside_the_form() -> None:
    payload = render(registration(), Notification((("message-count", "1"),), extra=b"<more xmlns='x'/>"))
    assert read(payload).extra == ["{x}more"]


@pytest.mark.parametrize("content", ["none", "marker", "sender"])
def test_extra_and_unknown_fields_are_revealed_in_full_only(content: str) -> None:
    notification = Notification((("my-field", "secret"),), "normal", b"<secret/>")
    assert reveal(notification, content) == Notification(priority="normal")
    assert reveal(notification, "full") == notification


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (IqAnswer("result"), DELIVERED),
        (IqAnswer("error", "item-not-found", "cancel"), Gone("cancel/item-not-found")),
        (IqAnswer("error", "remote-server-not-found", "cancel"), Gone("cancel/remote-server-not-found")),
        (IqAnswer("error", "bad-request", "modify"), Retry("modify/bad-request")),
        (IqAnswer("error", "forbidden", "auth"), Retry("auth/forbidden")),
        (IqAnswer("error", "resource-constraint", "wait"), Retry("wait/resource-constraint")),
        (IqAnswer("error"), Retry("no type/no condition")),
        (
            IqAnswer("error", "remote-server-timeout", "wait", by="example.org"),
            Unknown("wait/remote-server-timeout: no answer from the push service"),
        ),
        (IqAnswer("error", "remote-server-timeout", "wait"), Retry("wait/remote-server-timeout")),
        (IqAnswer("unsent"), Unsent("the stream to the XMPP server is down")),
        (IqAnswer("unsent", text="no source serves it"), Unsent("no source serves it")),
        (IqAnswer("lost"), Unknown("the stream broke before the answer")),
    ],
)
def test_what_an_answer_means(answer: IqAnswer, outcome: Outcome) -> None:
    assert outcome_of_answer(answer) == outcome
