"""The reader of Erlang terms."""

from __future__ import annotations

import pytest

from event_pusher.errors import SettingsError
from event_pusher.mongooseim.erlang import Atom, Term, read_terms


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("mnesia.", Atom("mnesia")),
        ("'Quoted atom'.", Atom("Quoted atom")),
        ("true.", True),
        ("42.", 42),
        ("-7.", -7),
        ("16#fF.", 255),
        ("1.5e3.", 1500.0),
        ("$a.", 97),
        ('"text with \\"quotes\\" and \\n".', 'text with "quotes" and \n'),
        ('<<"binary">>.', "binary"),
        ('<<"größe"/utf8>>.', "größe"),
        ("<<>>.", ""),
        ("[].", []),
        ("{a, [1, {b}]}.", (Atom("a"), [1, (Atom("b"),)])),
        ("% a comment with {braces\n{a, 1}.", (Atom("a"), 1)),
        ('{a, "no % comment"}.', (Atom("a"), "no % comment")),
    ],
)
def test_a_term_is_read(text: str, term: Term) -> None:
    (found,) = read_terms(text)
    assert (found, type(found)) == (term, type(term))


def test_a_file_holds_several_terms() -> None:
    assert read_terms("{a, 1}.\n\n{b, 2}.") == [(Atom("a"), 1), (Atom("b"), 2)]


def test_a_snippet_may_end_with_a_comma() -> None:
    assert read_terms("{a, 1},") == [(Atom("a"), 1)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{password,\n "s3cret" #{}}.', "line 2"),
        ("{a,\n[s3cret, 1", 'line 2: the "[" is not closed'),
        ("{a,\n]}.", 'line 2: a "]" stands where a term is expected'),
    ],
)
def test_a_fault_names_its_line_and_quotes_nothing(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_terms(text)
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)
