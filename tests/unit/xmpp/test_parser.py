"""The stream parser: the same stanzas however the bytes come, and a clear end for what is no XMPP."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from event_pusher.xmpp.budget import NameBudget
from event_pusher.xmpp.parser import BrokenStream, StreamParser

HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' "
    b"xmlns:stream='http://etherx.jabber.org/streams' from='push.example.org' id='s1'>"
)
STANZAS = (
    "<message from='example.org'><event xmlns='urn:x' n='1'/><message xmlns='jabber:client'><body>hé</body></message>"
    "</message><iq type='get' id='i&apos;1'><query xmlns='jabber:iq:version'/></iq> \n<presence/>"
    "<message><message><body>inner of the same namespace</body></message></message>"
).encode()


def parse(data: bytes, size: int, **options: int) -> list[bytes]:
    parser = StreamParser(**options, budget=NameBudget())
    stanzas = []
    for start in range(0, len(data), size):
        stanzas += [etree.tostring(one, with_tail=False) for one in parser.feed(data[start : start + size])]
    return stanzas


def refuse(data: bytes, **options: int) -> BrokenStream:
    with pytest.raises(BrokenStream) as caught:
        parse(HEADER + data, 1000, **options)
    return caught.value


def test_a_stream_split_at_every_byte_gives_the_same_stanzas() -> None:
    # Given a stream with nested messages, an entity, text outside ASCII and blanks between stanzas
    whole = parse(HEADER + STANZAS, 1 << 20)
    # When it comes byte by byte
    single = parse(HEADER + STANZAS, 1)
    # Then nothing differs
    assert len(whole) == 4
    assert single == whole


@pytest.mark.parametrize("place", range(0, len(HEADER + STANZAS), 7))
def test_a_stream_split_once_gives_the_same_stanzas(place: int) -> None:
    data = HEADER + STANZAS
    parser = StreamParser(budget=NameBudget())
    stanzas = parser.feed(data[:place]) + parser.feed(data[place:])
    assert [stanza.tag.rpartition("}")[2] for stanza in stanzas] == ["message", "iq", "presence", "message"]


@given(st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30), max_size=8), st.integers(1, 90))
def test_texts_survive_any_chunking(texts: list[str], size: int) -> None:
    # Given stanzas with any text
    stanzas = []
    for text in texts:
        element = etree.Element("message")
        element.text = text
        stanzas.append(etree.tostring(element, encoding="utf-8"))
    # When they come in pieces of any size
    got = parse(HEADER + b"".join(stanzas), size)
    # Then each text is what it was
    assert [etree.fromstring(xml).text or "" for xml in got] == texts


def test_the_header_is_there_before_any_stanza() -> None:
    parser = StreamParser(budget=NameBudget())
    assert parser.feed(HEADER[:-1]) == []
    assert parser.header is None
    parser.feed(HEADER[-1:])
    assert parser.header == {"from": "push.example.org", "id": "s1"}


def test_the_streams_end_shows() -> None:
    parser = StreamParser(budget=NameBudget())
    parser.feed(HEADER + b"<presence/></stream:stream>")
    assert parser.ended


def test_a_stanza_of_the_cap_passes() -> None:
    body = b"x" * (10_000 - len(b"<message></message>"))
    assert len(parse(HEADER + b"<message>" + body + b"</message>", 1000, max_stanza_bytes=10_000)) == 1


def test_a_stanza_over_the_cap_is_refused_with_the_sizes_and_without_its_text() -> None:
    # Given a cap, when a stanza is larger
    error = refuse(b"<presence/>" * 400 + b"<message><body>" + b"secret" * 5000, max_stanza_bytes=10_000)
    # Then the error names the cap, the stanzas before it are handed on, and no text leaks
    assert error.condition == "policy-violation"
    assert "the cap is 10000 bytes" in str(error)
    assert "secret" not in str(error)
    assert "a stanza of more than" in str(error)


def test_many_stanzas_that_are_larger_together_pass() -> None:
    stanza = b"<message><body>" + b"x" * 3000 + b"</body></message>"
    assert len(parse(HEADER + stanza * 50, 7000, max_stanza_bytes=10_000)) == 50


def test_an_endless_header_is_refused() -> None:
    parser = StreamParser(10_000, budget=NameBudget())
    with pytest.raises(BrokenStream, match="the cap is 10000 bytes"):
        parser.feed(HEADER[:-1] + b" x='" + b"y" * 20_000)


def test_what_was_read_of_a_broken_stanza_tells_whose_it_was() -> None:
    # Given a parser that met the beginning of an entry of the feed, and then bad bytes
    parser = StreamParser(budget=NameBudget())
    parser.feed(HEADER)
    with pytest.raises(BrokenStream):
        parser.feed(b"<message from='example.org'><event xmlns='urn:x' n='7'/><body>\xff</body></message>")
    # Then the half stanza can be asked
    suspect = parser.open_stanza()
    assert suspect is not None
    assert (suspect.get("from"), suspect[0].get("n")) == ("example.org", "7")


@pytest.mark.parametrize("size", [1, 5000])
def test_a_doctype_is_refused(size: int) -> None:
    with pytest.raises(BrokenStream, match="DOCTYPE") as caught:
        parse(b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]>" + HEADER[21:], size)
    assert caught.value.condition == "restricted-xml"


@pytest.mark.parametrize("size", [1, 5000])
def test_an_entity_bomb_is_refused(size: int) -> None:
    entities = "".join(f"<!ENTITY e{i} '{f'&e{i - 1};' * 10}'>" for i in range(1, 10))
    bomb = f"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY e0 'ha'>{entities}]>".encode()
    with pytest.raises(BrokenStream):
        parse(bomb + HEADER[21:] + b"<message>&e9;</message>", size)


@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE x [<!ENTITY a 'b'>]><message/>",
        b"<message>&unknown;</message>",
        b"<message><body>\xc3\x28</body></message>",
        b"<message><body>\xff\xfe</body></message>",
        b"<message><body>a\x01b</body></message>",
        b"<message><body>a&#1;b</body></message>",
        b"<message><body>a\x00b</body></message>",
        b"<message></iq>",
        b"<message from='a' from='b'/>",
        b"<message>" + b"<a>" * 300,
    ],
    ids=["doctype", "entity", "bad-utf8", "bom", "control", "charref", "nul", "tags", "twice", "deep"],
)
def test_what_is_not_well_formed_is_refused_without_its_text(data: bytes) -> None:
    error = refuse(b"<message><body>private</body></message>" + data)
    assert error.condition == "not-well-formed"
    assert "private" not in str(error)
    assert len(error.stanzas) == 1


def test_an_undeclared_prefix_ends_the_stream_behind_its_stanza() -> None:
    # libxml2 only notes it, so the stanza is finished; a feed does not stand still over it
    error = refuse(b"<message><x:y/></message>")
    assert error.condition == "not-well-formed"
    assert len(error.stanzas) == 1


def test_comments_and_processing_instructions_are_left_out() -> None:
    [xml] = parse(HEADER + b"<message><!-- c --><?php x?><body>a<!-- b -->c</body></message>", 9999)
    assert [(child.tag.rpartition("}")[2], child.text) for child in etree.fromstring(xml)] == [("body", "ac")]


def test_another_encoding_does_not_hide_anything() -> None:
    with pytest.raises(BrokenStream):
        StreamParser(budget=NameBudget()).feed(HEADER.decode().encode("utf-16"))


@pytest.mark.parametrize(
    "header",
    [
        b"<stream xmlns='jabber:component:accept'>",
        b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
        b"<html><body>HTTP/1.1 400 Bad Request</body></html>",
    ],
)
def test_another_kind_of_stream_is_refused(header: bytes) -> None:
    with pytest.raises(BrokenStream) as caught:
        StreamParser(budget=NameBudget()).feed(header)
    assert caught.value.condition == "invalid-namespace"


def test_elements_that_are_no_stanzas_do_not_pile_up() -> None:
    error = refuse(b"<junk xmlns='urn:junk'>x</junk>" * 1000)
    assert error.condition == "unsupported-stanza-type"


def test_the_stream_does_not_hold_what_was_given_before() -> None:
    # Given a stream that went on for a while
    parser = StreamParser(budget=NameBudget())
    first = parser.feed(HEADER + b"<message id='1'><body/></message><message/> ")
    for _ in range(1000):
        parser.feed(b"<message/>\n<mess")
        parser.feed(b"age/>")
    # Then it holds the last stanza only, and who kept an old one still has it
    assert len(parser._root) == 1
    assert first[0].get("id") == "1"
    assert first[0].getparent() is None
    assert parser.open_stanza() is None
