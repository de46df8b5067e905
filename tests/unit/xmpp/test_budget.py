"""Distinct names stay in memory for good: they are counted, and then cut out."""

import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from event_pusher.xmpp.budget import NameBudget, NameFilter
from event_pusher.xmpp.parser import BrokenStream, StreamParser

HEADER = (
    b"<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' "
    b"from='push.example.org' id='s1'>"
)


def spent(*known: str) -> NameBudget:
    budget = NameBudget()
    budget.spent = True
    budget.seen.update(known)
    return budget


def filtered(data: bytes, budget: NameBudget, size: int = 1 << 20) -> bytes:
    guard = NameFilter(budget, 10_000)
    out = guard.feed(HEADER)
    for start in range(0, len(data), size):
        out += guard.feed(data[start : start + size])
    return out.removeprefix(HEADER)


def flood(start: int, count: int) -> bytes:
    return b"".join(b"<message><n%d/></message>" % n for n in range(start, start + count))


def test_a_hundred_thousand_names_end_the_stream_with_a_clear_error_and_do_not_fill_memory_again() -> None:
    # Given a process that counts names
    budget = NameBudget()
    # When a stream brings names without end
    parser = StreamParser(budget=budget)
    parser.feed(HEADER)
    with pytest.raises(BrokenStream, match="distinct element and attribute names") as caught:  # noqa: PT012 - which read, is chance
        for start in range(0, 400_000, 1000):
            parser.feed(flood(start, 1000))
    assert caught.value.condition == "policy-violation"
    # Then the next stream lets stanzas pass without what has an unknown name, and memory stays
    parser = StreamParser(budget=budget)
    parser.feed(HEADER)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for start in range(1_000_000, 1_050_000, 1000):
        stanzas = parser.feed(flood(start, 1000))
        assert len(stanzas) == 1000
        assert not any(len(stanza) for stanza in stanzas)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 3000
    assert budget.cut == 50_000


def test_ordinary_traffic_never_spends_the_budget() -> None:
    budget = NameBudget()
    parser = StreamParser(budget=budget)
    parser.feed(HEADER)
    for _ in range(200):
        parser.feed(
            b"<message from='a' to='b'><body xmlns='jabber:client'>x</body><x xmlns='urn:x' a='1'/></message>" * 50
        )
    assert not budget.spent


def test_attributes_and_namespaces_count_too() -> None:
    for stanza in (b"<message a%d='1'/>", b"<message xmlns:p%d='urn:a'/>", b"<message><x xmlns='urn:%d'/></message>"):
        budget = NameBudget(limit=500, sample=1)
        parser = StreamParser(budget=budget)
        parser.feed(HEADER)
        with pytest.raises(BrokenStream):
            parser.feed(b"".join(stanza % n for n in range(1000)))
        assert budget.spent


@pytest.mark.parametrize(
    ("data", "left"),
    [
        (b"<message><body>a</body><bad/></message>", b"<message><body>a</body></message>"),
        (b"<message><bad>x<body>y</body></bad>z</message>", b"<message>z</message>"),
        (b"<message><bad a='>'/><body>a</body ></message>", b"<message><body>a</body ></message>"),
        (b"<message><bad></bad></message>", b"<message></message>"),
        (b"<message><body><bad/></body></message>", b"<message><body></body></message>"),
        (b"<message><body bad='1'>x</body></message>", b"<message></message>"),
        (b"<message><body xmlns:bad='urn:bad'>x</body></message>", b"<message></message>"),
        (
            b"<message><!-- <bad/> --><![CDATA[<bad/>]]></message>",
            b"<message><!-- <bad/> --><![CDATA[<bad/>]]></message>",
        ),
        (b"<bad/><presence/>", b"<presence/>"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_only_the_element_with_an_unknown_name_is_cut(data: bytes, left: bytes, size: int) -> None:
    assert filtered(data, spent(), size) == left


def test_what_was_seen_before_passes() -> None:
    data = b"<message><x xmlns='urn:x' y='1'/></message>"
    assert filtered(data, spent("{urn:x}x", "y", "xmlns=urn:x", "xmlns")) == data
    assert filtered(data, spent("{urn:x}x", "xmlns=urn:x", "xmlns")) == b"<message></message>"


def test_what_event_pusher_understands_passes_even_if_no_sample_held_it() -> None:
    data = (
        b"<iq type='set' from='example.org' to='push.example.org' id='1'><delegation xmlns='urn:xmpp:delegation:2'>"
        b"<forwarded xmlns='urn:xmpp:forward:0'><iq xmlns='jabber:client' type='set' id='q' "
        b"from='a@b/c' to='a@b' xml:lang='en'>"
        b"<enable xmlns='urn:xmpp:push:0' jid='p' node='n'>"
        b"<x xmlns='jabber:x:data' type='submit'><field var='v'><value>1"
        b"</value></field></x></enable></iq></forwarded></delegation></iq>"
    )
    assert filtered(data, spent()) == data


@given(
    st.lists(st.sampled_from(["<body>", "<bad>", "<body/>", "<bad/>", "x", "&lt;", "</"]), max_size=30),
    st.integers(1, 20),
)
def test_what_the_filter_lets_through_is_well_formed_however_it_is_cut(parts: list[str], size: int) -> None:
    # Given any nesting of known and unknown elements
    stack: list[str] = []
    text = "<message>"
    for part in parts:
        if part == "</":
            text += f"</{stack.pop()}>" if stack else ""
        else:
            text += part
            if part in ("<body>", "<bad>"):
                stack.append(part[1:-1])
    text += "".join(f"</{name}>" for name in reversed(stack)) + "</message>"
    # When it is filtered in pieces of any size
    left = filtered(text.encode(), spent(), size)
    # Then what is left is what a tree without the unknown elements looks like
    tree = etree.fromstring(text)
    for bad in list(tree.iter("bad")):
        if bad.getparent() is not None:
            _cut(bad)
    assert etree.tostring(etree.fromstring(left), method="c14n") == etree.tostring(tree, method="c14n")


def _cut(element: etree._Element) -> None:
    parent, before = element.getparent(), element.getprevious()
    assert parent is not None
    tail = element.tail or ""
    if before is not None:
        before.tail = (before.tail or "") + tail
    else:
        parent.text = (parent.text or "") + tail
    element.tail = None
    parent.remove(element)


@pytest.mark.parametrize(
    "data", [b"<!DOCTYPE x><a/>", b"<message></iq>", b"<message>\xff</message>", b"<message a='" + b"x" * 20_000]
)
def test_the_filter_refuses_what_the_parser_would(data: bytes) -> None:
    parser = StreamParser(10_000, budget=spent())
    with pytest.raises(BrokenStream):
        parser.feed(HEADER + data)
