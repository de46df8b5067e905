"""Publish as host: the host asks in its own name and hands the answer back as it came."""

from collections.abc import Callable
from xml.etree.ElementTree import Element

import pytest
from feed import FEED, PUBSUB, Feed, child
from feed_servers import Site, roundtrip
from wire import STANZAS, Component, condition, has_id, local, new_id

pytestmark = pytest.mark.servers

PAYLOAD = (
    f"<pubsub xmlns='{PUBSUB}'><publish node='dev1'><item><notification xmlns='urn:xmpp:push:0'/></item></publish>"
    "<publish-options><x xmlns='jabber:x:data' type='submit'/></publish-options></pubsub>"
)
ERROR = (
    f"<error type='cancel' by='gateway.example'><item-not-found xmlns='{STANZAS}'/>"
    f"<text xmlns='{STANZAS}' xml:lang='de'>kein Gerät</text>"
    "<gone xmlns='urn:x-test:app' n='7'><deep>&lt;&amp;</deep></gone></error>"
)


def inner_iq(to: str, payload: str = PAYLOAD, attrs: str = "type='set' id='i1'") -> str:
    """The IQ that the host is asked to send."""
    address = f" to='{to}'" if to else ""
    return f"<iq xmlns='jabber:client' {attrs}{address}>{payload}</iq>"


def publish(content: str, attrs: str = "") -> str:
    """The element around it."""
    return f"<publish xmlns='{FEED}' {attrs}>{content}</publish>"


def inner_of(answer: Element) -> Element:
    """The IQ inside an answer."""
    assert answer.get("type") == "result", condition(answer)
    element = child(answer, "publish")
    assert element is not None
    return element[0]


def send(push: Component, site: Site, content: str, attrs: str = "") -> str:
    """Ask for a publish without waiting for the answer; the id of the request."""
    identifier = new_id("o")
    push.send(f"<iq type='set' id='{identifier}' from='{push.jid}' to='{site.domain}'>{publish(content, attrs)}</iq>")
    return identifier


def is_request(stanza: Element) -> bool:
    """Matches what an app server is asked."""
    return local(stanza) == "iq" and stanza.get("type") == "set"


def answer(app: Component, request: Element, kind: str = "result", payload: str = "", sender: str = "") -> None:
    """Answer a request."""
    app.send(
        f"<iq type='{kind}' id='{request.get('id')}' to='{request.get('from')}'"
        f" from='{sender or request.get('to')}'>{payload}</iq>"
    )


def test_the_host_publishes_in_its_own_name(site: Site) -> None:
    # Given an app server
    push, app = site.component("push"), site.component("app")
    # When the component asks for a publish
    request = send(push, site, inner_iq(app.jid))
    asked = app.expect(is_request)
    answer(app, asked, payload=f"<pubsub xmlns='{PUBSUB}'><publish node='dev1'><item id='x1'/></publish></pubsub>")
    # Then the app server is asked by the host, with the payload as it was
    assert (asked.get("from"), asked.get("to")) == (site.domain, app.jid)
    assert [local(e) for e in asked.iter()][1:] == [
        *("pubsub", "publish", "item", "notification", "publish-options", "x"),
    ]
    # And its answer comes back inside
    outer = push.expect(has_id(request))
    assert (outer.get("from"), outer.get("to")) == (site.domain, push.jid)
    inner = inner_of(outer)
    assert inner.tag == "{jabber:client}iq"
    assert (inner.get("type"), inner.get("id")) == ("result", "i1")
    assert (inner.get("from"), inner.get("to")) == (app.jid, site.domain)
    item = inner.find(f"{{{PUBSUB}}}pubsub/{{{PUBSUB}}}publish/{{{PUBSUB}}}item")
    assert item is not None
    assert item.get("id") == "x1"


def test_an_error_comes_back_unchanged(site: Site) -> None:
    # Given an app server that refuses
    push, app = site.component("push"), site.component("app")
    request = send(push, site, inner_iq(app.jid))
    # When it answers with an error that has a text and an element of its own
    answer(app, app.expect(is_request), "error", ERROR)
    # Then all of it arrives
    inner = inner_of(push.expect(has_id(request)))
    assert condition(inner) == ("cancel", "item-not-found")
    error = inner.find("{*}error")
    assert error is not None
    assert error.get("by") == "gateway.example"
    assert error.findtext(f"{{{STANZAS}}}text") == "kein Gerät"
    assert error.findtext("{urn:x-test:app}gone/{*}deep") == "<&"


def test_an_app_server_that_is_away_is_an_inner_error(site: Site) -> None:
    # Given no app server
    push = site.component("push")
    # When a publish to it is asked for
    inner = inner_of(push.iq("set", site.domain, publish(inner_iq(f"app.{site.domain}"))))
    # Then the error comes inside, and it is not the host's timeout
    assert inner.get("type") == "error"
    error = inner.find("{*}error")
    assert error is not None
    assert error.get("by") != site.domain


def test_the_hosts_own_timeout_names_the_host(site: Site) -> None:
    # Given an app server that does not answer in time
    push, app = site.component("push"), site.component("app")
    request = send(push, site, inner_iq(app.jid), "timeout='1'")
    asked = app.expect(is_request)
    # When the time is over
    inner = inner_of(push.expect(has_id(request)))
    # Then the host says that it gave up
    assert condition(inner) == ("wait", "remote-server-timeout")
    assert (inner.get("id"), inner.get("from")) == ("i1", app.jid)
    error = inner.find("{*}error")
    assert error is not None
    assert error.get("by") == site.domain
    # And a late answer is dropped in silence
    answer(app, asked)
    roundtrip(app, site.domain)
    roundtrip(push, site.domain)
    assert not push.waiting(lambda stanza: True)
    assert not app.waiting(lambda stanza: stanza.get("type") == "error")


def test_two_open_publishes_with_the_same_inner_id_get_their_own_answers(site: Site) -> None:
    # Given two publishes with one inner id
    push, app = site.component("push"), site.component("app")
    first, second = (send(push, site, inner_iq(app.jid)) for _ in "12")
    asked = [app.expect(is_request) for _ in "12"]
    # When they are answered in the other order
    answer(app, asked[1])
    answer(app, asked[0], "error", ERROR)
    # Then each gets its own
    assert inner_of(push.expect(has_id(first))).get("type") == "error"
    assert inner_of(push.expect(has_id(second))).get("type") == "result"


def test_an_answer_from_somebody_else_is_not_believed(site: Site) -> None:
    # Given an open publish
    push, app, other = (site.component(name) for name in ("push", "app", "other"))
    request = send(push, site, inner_iq(app.jid))
    asked = app.expect(is_request)
    # When another component answers it before the app server does
    answer(other, asked, sender=other.jid)
    roundtrip(other, site.domain)
    answer(app, asked, "error", ERROR)
    # Then the app server's answer counts
    inner = inner_of(push.expect(has_id(request)))
    assert (inner.get("type"), inner.get("from")) == ("error", app.jid)


@pytest.mark.parametrize("answered", ["while away", "afterwards"])
def test_an_answer_survives_our_reconnect(site: Site, answered: str) -> None:
    # Given an open publish of a connection that goes
    push, app = site.component("push"), site.component("app")
    identifier = send(push, site, inner_iq(app.jid))
    asked = app.expect(is_request)
    push.close()
    # When the app server answers, and the component comes back
    if answered == "while away":
        answer(app, asked)
        roundtrip(app, site.domain)
    again = Feed(site.component("push"), site.domain)
    again.resume(snapshot=False)
    if answered == "afterwards":
        answer(app, asked)
    # Then the answer is on the new connection
    assert inner_of(again.component.expect(has_id(identifier))).get("id") == "i1"


@pytest.mark.parametrize("content", [inner_iq("app.example"), ""], ids=["well-formed", "malformed"])
@pytest.mark.parametrize("who", ["user", "component", "node", "resource"])
def test_a_stranger_may_not_publish(site: Site, who: str, content: str) -> None:
    # Given somebody who is not exactly the component
    xml = publish(content)
    # When it asks for a publish
    if who == "user":
        outer = site.client(site.account()).iq("set", site.domain, xml)
    elif who == "component":
        outer = site.component("other").iq("set", site.domain, xml)
    else:
        sender = f"x@{site.push}" if who == "node" else f"{site.push}/r"
        outer = site.component("push").iq("set", site.domain, xml, sender)
    # Then it is forbidden
    assert condition(outer) == ("auth", "forbidden")


MALFORMED: dict[str, Callable[[str], str]] = {
    "empty": lambda to: publish(""),
    "two iqs": lambda to: publish(inner_iq(to) * 2),
    "a message": lambda to: publish(f"<message xmlns='jabber:client' to='{to}'/>"),
    "another namespace": lambda to: publish(inner_iq(to).replace("jabber:client", "urn:x")),
    "a get": lambda to: publish(inner_iq(to, attrs="type='get' id='i'")),
    "a result": lambda to: publish(inner_iq(to, attrs="type='result' id='i'")),
    "no address": lambda to: publish(inner_iq("")),
    "a bad address": lambda to: publish(inner_iq("@@@")),
    "no id": lambda to: publish(inner_iq(to, attrs="type='set'")),
    "a sender": lambda to: publish(inner_iq(to, attrs="type='set' id='i' from='alice@example.org'")),
    "a roster": lambda to: publish(inner_iq(to, "<query xmlns='jabber:iq:roster'/>")),
    "no payload": lambda to: publish(inner_iq(to, "")),
    "two payloads": lambda to: publish(inner_iq(to, PAYLOAD * 2)),
    "a subscription": lambda to: publish(
        inner_iq(to, f"<pubsub xmlns='{PUBSUB}'><subscribe node='n' jid='j'/></pubsub>")
    ),
    "more than a publish": lambda to: publish(
        inner_iq(to, f"<pubsub xmlns='{PUBSUB}'><publish node='n'/><configure/></pubsub>")
    ),
    "the owner's namespace": lambda to: publish(
        inner_iq(to, f"<pubsub xmlns='{PUBSUB}#owner'><publish node='n'/></pubsub>")
    ),
    "a timeout in words": lambda to: publish(inner_iq(to), "timeout='x'"),
    "no time": lambda to: publish(inner_iq(to), "timeout='0'"),
}


@pytest.mark.parametrize("shape", MALFORMED)
def test_anything_else_than_a_publish_is_a_bad_request(site: Site, shape: str) -> None:
    # Given an app server
    push, app = site.component("push"), site.component("app")
    # When the component asks for something else than a publish
    outer = push.iq("set", site.domain, MALFORMED[shape](app.jid))
    # Then it is refused, and the app server has seen nothing
    assert condition(outer) == ("modify", "bad-request")
    roundtrip(app, site.domain)
    assert not app.waiting(lambda stanza: local(stanza) == "iq")


def test_a_publish_must_be_a_set(site: Site) -> None:
    # Given a component
    push = site.component("push")
    # When it asks with type get
    outer = push.iq("get", site.domain, publish(inner_iq(f"app.{site.domain}")))
    # Then it is refused
    assert condition(outer) == ("modify", "bad-request")
