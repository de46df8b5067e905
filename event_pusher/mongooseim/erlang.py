"""A reader of Erlang terms, as far as they occur in a ``mongooseim.cfg``: no maps, no funs, no records."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from event_pusher.errors import SettingsError


class Atom(str):
    """``mnesia`` or ``'mnesia'``; strings and binaries are plain `str`."""

    __slots__ = ()


Term = Atom | str | int | float | bool | list["Term"] | tuple["Term", ...]

_TOKEN = re.compile(
    r"""
      (?P<blank>  \s+ | %[^\n]* )
    | (?P<binary> << \s* (?: "(?:[^"\\]|\\.)*" (?:/utf8)? )? \s* >> )
    | (?P<string> "(?:[^"\\]|\\.)*" )
    | (?P<quoted> '(?:[^'\\]|\\.)*' )
    | (?P<based>  -?\d{1,2}\#[0-9A-Za-z]+ )
    | (?P<float>  -?\d+\.\d+(?:[eE][+-]?\d+)? )
    | (?P<int>    -?\d+ )
    | (?P<char>   \$(?:\\.|.) )
    | (?P<atom>   [a-z][A-Za-z0-9_@]* )
    | (?P<mark>   [{}\[\],.] )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(x\{([0-9A-Fa-f]+)\}|x([0-9A-Fa-f]{2})|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPED = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "e": "\x1b",
    "s": " ",
    "d": "\x7f",
    "0": "\0",
}
_CLOSING = {"{": "}", "[": "]"}


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


def read_terms(text: str) -> list[Term]:
    """Read every term of a file. Raises `SettingsError`, which names the line and never quotes it."""
    tokens = list(_tokens(text))
    terms: list[Term] = []
    place = 0
    while place < len(tokens):
        if tokens[place].kind == "mark" and tokens[place].text in ",.":
            place += 1  # between terms; a snippet ends with either
            continue
        term, place = _term(tokens, place)
        terms.append(term)
    return terms


def _tokens(text: str) -> Iterator[_Token]:
    place, line = 0, 1
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise SettingsError([f"line {line}: this is neither TOML nor an Erlang term that is known here"])
        if match.lastgroup != "blank":
            yield _Token(str(match.lastgroup), match[0], line)
        line += match[0].count("\n")
        place = match.end()


def _term(tokens: list[_Token], place: int) -> tuple[Term, int]:
    token = tokens[place]
    if token.kind != "mark":
        return _value(token), place + 1
    if token.text not in _CLOSING:
        raise SettingsError([f'line {token.line}: a "{token.text}" stands where a term is expected'])
    closing, items = _CLOSING[token.text], list[Term]()
    place += 1
    while place < len(tokens) and tokens[place].text != closing:
        if items and tokens[place].kind == "mark" and tokens[place].text == ",":
            place += 1
            continue
        item, place = _term(tokens, place)
        items.append(item)
    if place == len(tokens):
        raise SettingsError([f'line {token.line}: the "{token.text}" is not closed'])
    return (tuple(items) if closing == "}" else items), place + 1


def _value(token: _Token) -> Term:
    text = token.text
    value: Term
    match token.kind:
        case "int" | "float":
            value = float(text) if "." in text else int(text)
        case "based":
            base, _, digits = text.partition("#")
            value = int(digits, int(base))
        case "char":
            value = ord(_unescaped(text[1:]))
        case "atom":
            value = {"true": True, "false": False}.get(text, Atom(text))
        case "quoted":
            value = Atom(_unescaped(text[1:-1]))
        case "binary":
            value = _unescaped(text[2:-2].strip().removesuffix("/utf8").strip()[1:-1])
        case _:
            value = _unescaped(text[1:-1])
    return value


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[2] or match[3]
        if code:
            return chr(int(code, 16))
        word = match[1]
        if word.isdigit():
            return chr(int(word, 8)) if set(word) <= set("01234567") else word
        return _ESCAPED.get(word, word)

    return _ESCAPE.sub(one, text)
