"""XEP-0355 in both versions, and what the component says of itself."""

from collections.abc import Callable

import pytest
from lxml import etree

from event_pusher.intake import Refusal
from event_pusher.xmpp import disco
from event_pusher.xmpp.delegation import Envelope, unwrap
from event_pusher.xmpp.stanzas import escape

Make = Callable[[str], etree._Element]

VERSIONS = ("urn:xmpp:delegation:1", "urn:xmpp:delegation:2")
INNER = "{jabber:client}iq"
INFO = "http://jabber.org/protocol/disco#info"


def request(version: str, to: str = "to='bob@example.org'", inner_id: str = "id='q&apos;7'") -> str:
    return (
        f"<iq type='set' from='example.org' to='push.example.org' id='o1'><delegation xmlns='{version}'>"
        f"<forwarded xmlns='urn:xmpp:forward:0'><iq xmlns='jabber:client' type='set' {inner_id} "
        f"from='bob@example.org/r' {to}>"
        "<enable xmlns='urn:xmpp:push:0' jid='p.x' node='n'/></iq></forwarded></delegation></iq>"
    )


def opened(element: etree._Element) -> Envelope:
    found = unwrap(element)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("refusal", [None, Refusal("modify", "bad-request", "<what> & why")])
def test_the_answer_is_an_outer_result_with_the_inner_iq_mirrored(
    stanza: Make, version: str, refusal: Refusal | None
) -> None:
    # Given a delegated request of either version
    envelope = opened(stanza(request(version)))
    # When it is answered, well or badly
    answer = stanza(envelope.answer(refusal).decode())
    # Then the outer IQ is a result of the same version, the inner one goes back where it came from
    assert dict(answer.items()) == {"type": "result", "id": "o1", "from": "push.example.org", "to": "example.org"}
    inner = answer.find(f"{{{version}}}delegation/{{urn:xmpp:forward:0}}forwarded/{INNER}")
    assert inner is not None
    assert (inner.get("id"), inner.get("from"), inner.get("to")) == ("q'7", "bob@example.org", "bob@example.org/r")
    assert inner.get("type") == ("result" if refusal is None else "error")
    assert "".join(map(str, inner.itertext())) == ("" if refusal is None else "<what> & why")


def test_without_an_inner_to_the_answer_has_no_from(stanza: Make) -> None:
    answer = stanza(opened(stanza(request(VERSIONS[1], to=""))).answer(None).decode())
    [inner] = answer.iter(INNER)
    assert inner.get("from") is None
    assert inner.get("to") == "bob@example.org/r"


@pytest.mark.parametrize(
    "xml",
    [
        request("urn:xmpp:delegation:3"),
        request(VERSIONS[0], inner_id=""),
        request(VERSIONS[0]).replace("urn:xmpp:forward:0", "urn:other"),
        "<iq type='set' id='1' from='a' to='b'/>",
    ],
)
def test_what_is_no_delegated_iq_is_none(stanza: Make, xml: str) -> None:
    assert unwrap(stanza(xml)) is None


@pytest.mark.parametrize("version", VERSIONS)
def test_the_servers_disco_queries_get_the_feature_for_accounts_only(stanza: Make, version: str) -> None:
    def features(node: str) -> list[str | None]:
        query = f"<iq type='get' id='1' from='example.org' to='p'><query xmlns='{INFO}' node='{node}'/></iq>"
        answer = stanza(disco.answer(stanza(query)).decode())
        assert answer.get("type") == "result"
        assert answer[0].get("node") == node
        return [feature.get("var") for feature in answer[0]]

    assert features(f"{version}::urn:xmpp:push:0") == []
    assert features(f"{version}:bare:urn:xmpp:push:0") == ["urn:xmpp:push:0"]


@pytest.mark.parametrize(
    ("child", "holds"),
    [
        (f"<query xmlns='{INFO}'/>", "component"),
        ("<query xmlns='jabber:iq:version'/>", "event-pusher"),
        ("<ping xmlns='urn:xmpp:ping'/>", "type='result'"),
        (f"<query xmlns='{INFO}' node='other'/>", "item-not-found"),
        ("<query xmlns='jabber:iq:roster'/>", "service-unavailable"),
        ("", "service-unavailable"),
    ],
)
def test_the_component_answers_every_question(stanza: Make, child: str, holds: str) -> None:
    answer = disco.answer(stanza(f"<iq type='get' id='1' from='a@b/c' to='p'>{child}</iq>")).decode()
    assert holds in answer
    assert stanza(answer).get("to") == "a@b/c"


def test_a_set_that_nobody_serves_is_refused(stanza: Make) -> None:
    answer = disco.answer(stanza("<iq type='set' id='1' from='a' to='p'><ping xmlns='urn:xmpp:ping'/></iq>"))
    assert b"service-unavailable" in answer


def test_no_text_can_break_a_stanza(stanza: Make) -> None:
    # Given every character that XML treats apart, and those it has no place for
    text = "a'b\"c<d>e&f\tg\nh\ri" + "\x00\x0b\x1f\ufffe\ud800"
    # When it is written as an attribute
    element = stanza(f"<message id='{escape(text)}'/>")
    # Then it comes back whole, the impossible replaced
    assert element.get("id") == "a'b\"c<d>e&f\tg\nh\ri" + "\ufffd" * 5
