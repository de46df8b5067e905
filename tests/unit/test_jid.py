"""JIDs as values."""

import pytest

from event_pusher.errors import InvalidJid
from event_pusher.jid import Jid, bare


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("bob@example.org/tablet", ("bob", "example.org", "tablet")),
        ("example.org", ("", "example.org", "")),
        ("example.org/r", ("", "example.org", "r")),
        ("bob@example.org/a/b@c", ("bob", "example.org", "a/b@c")),
        ("bob@[::1]", ("bob", "[::1]", "")),
        ("bob@example.org.", ("bob", "example.org", "")),
    ],
)
def test_a_jid_has_three_parts(text: str, parts: tuple[str, str, str]) -> None:
    assert tuple(Jid.parse(text)) == parts


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Bob@Example.ORG/Tablet", "bob@example.org/Tablet"),
        ("BÜRGER@BÜCHER.example", "bürger@bücher.example"),
        ("ﬁne@example.org", "fine@example.org"),
    ],
)
def test_local_part_and_domain_are_folded_and_the_resource_is_not(text: str, same: str) -> None:
    assert str(Jid.parse(text)) == same


@pytest.mark.parametrize("text", ["bob@example.org/tablet", "bob@example.org", "example.org/x", "example.org"])
def test_its_text_reads_back(text: str) -> None:
    assert str(Jid.parse(text)) == text


def test_the_bare_jid_has_no_resource() -> None:
    jid = Jid.parse("bob@example.org/tablet")

    assert str(jid.bare) == "bob@example.org"
    assert jid.bare.bare == jid.bare
    assert bare("Bob@example.org/tablet") == "bob@example.org"


def test_equal_jids_are_one_key() -> None:
    assert len({Jid.parse("bob@example.org"), Jid.parse("BOB@example.org")}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@example.org",
        "bob@",
        "bob@/r",
        "bob@example.org/",
        "/r",
        "a b@example.org",
        "a'b@example.org",
        "bob@exam ple.org",
        "bob@exam\nple.org",
        "bob@<x>",
        "bob\u0000@example.org",
        "bob@example.org/\u0007",
        "b" * 1024 + "@example.org",
        "bob@" + "x" * 1024,
        "bob@example.org/" + "ü" * 512,
    ],
)
def test_what_is_no_jid_is_refused_and_not_quoted_at_length(text: str) -> None:
    with pytest.raises(InvalidJid) as caught:
        Jid.parse(text)

    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_a_part_may_have_1023_bytes() -> None:
    assert Jid.parse("b" * 1023 + "@example.org").local == "b" * 1023
