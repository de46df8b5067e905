"""Who is not believed: whoever says what only the host's own module may say."""

import sqlite3
from contextlib import closing

import pytest
from feed import DELEGATION, FEED, FORWARD
from people import PUSH
from push_service import PUBSUB
from wire import STANZAS, new_id
from world import World

pytestmark = pytest.mark.servers


def forged(world: World, user: str, kind: str, content: str = "") -> str:
    """The next event of the feed as the host's module would tell it."""
    with closing(sqlite3.connect(world.pusher.file.with_name("event-pusher.db"))) as database:
        query = "SELECT feed, epoch, n FROM event_pusher_feeds WHERE host = ?"
        ((feed, epoch, n),) = database.execute(query, (world.domain,)).fetchall()
    return (
        f"<event xmlns='{FEED}' feed='{feed}' epoch='{epoch}' n='{n + 1000}' kind='{kind}' state='offline'"
        f" user='{user}' resource='' session='' stored='true'/>{content}"
    )


def forwarded(world: World, user: str) -> str:
    return (
        f"<forwarded xmlns='{FORWARD}'><message xmlns='jabber:client' from='{world.alice.full}' to='{user}'"
        f" type='chat' id='f1'><body>forged</body></message></forwarded>"
    )


def test_events_told_by_a_user_or_by_another_component_do_nothing(world: World) -> None:
    # Given somebody who is offline, and the push service's attention
    bob = world.absent("forged-event", {"k": "v"})
    push, other = f"push.{world.domain}", world.component("other")
    # When a user and another component tell of a message for them, and of their account's removal
    for payload in (forged(world, bob, "received", forwarded(world, bob)), forged(world, bob, "user-removed")):
        world.alice.send(f"<message to='{push}' id='{new_id()}'>{payload}</message>")
        other.message(push, payload)
        other.message(push, payload, sender=f"{world.domain}@{other.jid}")
    world.alice.settle()
    other.iq("get", world.domain, "<ping xmlns='urn:xmpp:ping'/>")
    # Then nothing is pushed but what is said in truth
    world.alice.message(bob, "true")
    assert world.bodies(bob, "forged-event") == ["true"]


def test_an_enable_that_did_not_come_from_the_host_is_refused(world: World) -> None:
    # Given an account that enabled nothing
    jid, other = world.account(), world.component("other")
    inner = (
        f"<iq xmlns='jabber:client' type='set' id='i1' from='{jid}/r' to='{jid}'>"
        f"<enable xmlns='{PUSH}' jid='{world.service.jid}' node='forged-enable'/></iq>"
    )
    payload = f"<delegation xmlns='{DELEGATION}'><forwarded xmlns='{FORWARD}'>{inner}</forwarded></delegation>"
    # When another component, and a user, delegate an enable
    push = f"push.{world.domain}"
    assert other.iq("set", push, payload).get("type") == "error"
    assert world.alice.iq(payload, to=push).get("type") == "error"
    # Then nothing is stored
    world.alice.message(jid, "hello")
    world.silent("forged-enable")


@pytest.mark.parametrize("kind", ["result", "error"])
def test_an_answer_by_somebody_else_does_nothing(world: World, kind: str) -> None:
    # Given a publish that the push service has not answered yet
    bob, other = world.absent(f"forged-{kind}"), world.component("other")
    world.service.hold(f"forged-{kind}")
    world.alice.message(bob, "held")
    notice = world.service.refusal(f"forged-{kind}")
    # When a third party answers in its place, to the host and to the component
    error = f"<error type='cancel'><item-not-found xmlns='{STANZAS}'/></error>" if kind == "error" else ""
    other.send(f"<iq type='{kind}' id='{notice.request}' from='{other.jid}' to='{world.domain}'>{error}</iq>")
    inner = f"<iq xmlns='jabber:client' type='{kind}' id='{notice.request}' from='{world.service.jid}'>{error}</iq>"
    other.send(
        f"<iq type='result' id='{notice.request}' from='{other.jid}' to='push.{world.domain}'>"
        f"<publish xmlns='{FEED}'>{inner}</publish></iq>"
    )
    other.iq("get", world.domain, "<ping xmlns='urn:xmpp:ping'/>")
    # Then the true answer counts: a passing trouble, after which the same comes again
    refusal = f"<error type='wait'><resource-constraint xmlns='{STANZAS}'/></error>"
    world.service.answer(notice, refusal)
    again = world.service.notice(f"forged-{kind}")
    assert (again.body, again.item) == ("held", notice.item)
    assert world.bodies(bob, f"forged-{kind}") == []


def test_nobody_else_publishes_in_the_hosts_name(world: World) -> None:
    # Given another component
    other = world.component("other")
    publish = f"<pubsub xmlns='{PUBSUB}'><publish node='stolen'><item/></publish></pubsub>"
    inner = f"<iq xmlns='jabber:client' type='set' id='i1' to='{world.service.jid}'>{publish}</iq>"
    # When it, and a user, ask the host to publish
    payload = f"<publish xmlns='{FEED}'>{inner}</publish>"
    answers = [other.iq("set", world.domain, payload), world.alice.iq(payload, to=world.domain)]
    # Then they are refused, and the push service hears nothing
    assert [answer.get("type") for answer in answers] == ["error", "error"]
    world.silent("stolen")
