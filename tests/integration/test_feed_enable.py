"""Enable and disable travel to the component in the envelope of XEP-0355, and the answer back."""

from collections.abc import Callable
from xml.etree.ElementTree import Element

import pytest
from feed import DELEGATION, FORWARD, PUSH
from feed_servers import Site, error, roundtrip
from wire import Client, Component, condition, has_id, local, new_id

pytestmark = pytest.mark.servers

ENABLE = (
    f"<enable xmlns='{PUSH}' jid='app.example' node='n1'>"
    "<x xmlns='jabber:x:data' type='submit'><field var='secret'><value>s</value></field></x></enable>"
)
DISABLE = f"<disable xmlns='{PUSH}' jid='app.example'/>"


def is_delegated(stanza: Element) -> bool:
    """Matches the envelope."""
    return local(stanza) == "iq" and stanza.find(f"{{{DELEGATION}}}delegation") is not None


def inner_of(stanza: Element) -> Element:
    """The client's IQ in the envelope."""
    inner = stanza.find(f"{{{DELEGATION}}}delegation/{{{FORWARD}}}forwarded/{{jabber:client}}iq")
    assert inner is not None
    return inner


def ask(client: Client, payload: str = ENABLE, to: str | None = None) -> str:
    """Send the IQ and return its id."""
    identifier = new_id("q")
    address = f" to='{to}'" if to else ""
    client.send(f"<iq type='set' id='{identifier}'{address}>{payload}</iq>")
    return identifier


def reply(push: Component, request: Element, kind: str = "result", payload: str = "", to: str = "") -> None:
    """Answer a delegated IQ."""
    inner = inner_of(request)
    push.send(
        f"<iq type='result' id='{request.get('id')}' to='{request.get('from')}' from='{push.jid}'>"
        f"<delegation xmlns='{DELEGATION}'><forwarded xmlns='{FORWARD}'>"
        f"<iq xmlns='jabber:client' type='{kind}' id='{inner.get('id')}' from='{inner.get('to')}'"
        f" to='{to or inner.get('from')}'>{payload}</iq></forwarded></delegation></iq>"
    )


@pytest.mark.parametrize("payload", [ENABLE, DISABLE], ids=["enable", "disable"])
@pytest.mark.parametrize("addressed", [False, True], ids=["without to", "with to"])
def test_a_request_arrives_in_its_envelope_and_is_answered(site: Site, payload: str, addressed: bool) -> None:
    # Given a component and a client
    push, client = site.component("push"), site.client(site.account())
    # When the client asks its own account
    request = ask(client, payload, client.bare if addressed else None)
    outer = push.expect(is_delegated)
    # Then the component gets the request whole, with both addresses
    assert (outer.get("type"), outer.get("from"), outer.get("to")) == ("set", site.domain, push.jid)
    inner = inner_of(outer)
    assert (inner.get("type"), inner.get("id")) == ("set", request)
    assert (inner.get("from"), inner.get("to")) == (client.full, client.bare)
    assert len(list(inner.iter())) == payload.count("<") - payload.count("</") + 1
    # And its answer reaches the client
    reply(push, outer)
    assert client.expect(has_id(request)).get("type") == "result"


def test_the_components_error_reaches_the_client_whole(site: Site) -> None:
    # Given a component that refuses
    push, client = site.component("push"), site.client(site.account())
    request = ask(client)
    # When it answers with an error that has an element of its own
    limit = error("modify", "not-acceptable").replace("</error>", "<limit xmlns='urn:x-test:app' n='20'/></error>")
    reply(push, push.expect(is_delegated), "error", limit)
    # Then the client gets it
    answer = client.expect(has_id(request))
    assert condition(answer) == ("modify", "not-acceptable")
    assert answer.find("{*}error/{urn:x-test:app}limit") is not None


def test_an_outer_error_is_service_unavailable_for_the_client(site: Site) -> None:
    # Given a component
    push, client = site.component("push"), site.client(site.account())
    request = ask(client)
    # When it answers with an error of its own
    outer = push.expect(is_delegated)
    push.send(
        f"<iq type='error' id='{outer.get('id')}' to='{site.domain}' from='{push.jid}'>"
        f"{error('wait', 'internal-server-error')}</iq>"
    )
    # Then the client gets an answer
    assert condition(client.expect(has_id(request))) == ("cancel", "service-unavailable")


def test_an_answer_for_somebody_else_is_not_handed_on(site: Site) -> None:
    # Given two clients
    push, client, other = site.component("push"), site.client(site.account()), site.client(site.account())
    request = ask(client)
    # When the component addresses the first one's answer to the other
    reply(push, push.expect(is_delegated), to=other.full)
    # Then the first gets an error, and the other nothing
    assert condition(client.expect(has_id(request))) == ("wait", "internal-server-error")
    roundtrip(other, site.domain)
    assert not other.waiting(has_id(request))


def test_a_client_goes_on_while_its_request_is_open(site: Site) -> None:
    # Given a request that the component does not answer yet
    push, client = site.component("push"), site.client(site.account())
    request = ask(client)
    outer = push.expect(is_delegated)
    # When the client asks for something else
    roundtrip(client, site.domain)
    # Then it is answered at once, and the request later
    reply(push, outer)
    client.expect(has_id(request))


def test_without_a_component_a_client_gets_service_unavailable(site: Site) -> None:
    # Given no component
    client = site.client(site.account())
    # When the client asks
    answer = client.iq("set", None, ENABLE)
    # Then it is refused
    assert condition(answer) == ("cancel", "service-unavailable")


FOREIGN: dict[str, Callable[[Site, str], str]] = {
    "another account": lambda site, user: site.jid(user),
    "a session of it": lambda site, user: f"{site.jid(user)}/r1",
    "the host": lambda site, user: site.domain,
}


@pytest.mark.parametrize("whose", FOREIGN)
def test_nobody_enables_push_for_somebody_else(site: Site, whose: str) -> None:
    # Given a component and a client
    push, client = site.component("push"), site.client(site.account())
    # When the client asks an address that is not its own account
    answer = client.iq("set", FOREIGN[whose](site, site.account()), ENABLE)
    # Then it is refused, and the component sees nothing
    assert answer.get("type") == "error"
    roundtrip(push, site.domain)
    assert not push.waiting(is_delegated)


def test_the_feature_is_on_the_account_while_the_component_is_there(site: Site) -> None:
    # Given a client
    client = site.client(site.account())
    assert PUSH not in client.features(None)
    # When the component comes and goes
    push = site.component("push")
    present, on_the_host = client.features(None), client.features(site.domain)
    push.close()
    # Then the feature is there just as long, and never on the host
    assert present.count(PUSH) == 1
    assert PUSH not in on_the_host
    assert PUSH not in client.features(client.bare)
