"""What a client may ask of ``<enable/>`` and ``<disable/>``, and what it is told when it asks something else."""

from xml.etree.ElementTree import Element

import pytest
from installation import MAX_REGISTRATIONS
from people import PUBLISH_OPTIONS, PUSH, form
from wire import STANZAS, condition
from world import World

pytestmark = pytest.mark.servers

FORM_TYPE = f"<field var='FORM_TYPE'><value>{PUBLISH_OPTIONS}</value></field>"


def enable(attributes: str = "jid='app.example' node='n'", content: str = "") -> str:
    return f"<enable xmlns='{PUSH}' {attributes}>{content}</enable>"


def x(content: str, attributes: str = "type='submit'") -> str:
    return enable(content=f"<x xmlns='jabber:x:data' {attributes}>{content}</x>")


def disable(attributes: str) -> str:
    return f"<disable xmlns='{PUSH}' {attributes}/>"


#: What is asked, and a part of the text that says what is wrong with it.
MALFORMED = {
    "another child": (f"<renew xmlns='{PUSH}' jid='app.example' node='n'/>", "must be <enable/> or <disable/>"),
    "no jid": (enable("node='n'"), "jid attribute is missing"),
    "an empty jid": (enable("jid='' node='n'"), "jid attribute is empty"),
    "an unparsable jid": (enable("jid='a@b@c' node='n'"), "jid attribute is not a JID"),
    "a jid without a domain": (enable("jid='user@' node='n'"), "jid attribute is not a JID"),
    "no node": (enable("jid='app.example'"), "node attribute is missing"),
    "an empty node": (enable("jid='app.example' node=''"), "node attribute is empty"),
    "a form of another type": (x(FORM_TYPE, "type='form'"), "form's type"),
    "a form of no type": (x(FORM_TYPE, ""), "form's type"),
    "no FORM_TYPE": (x("<field var='a'><value>1</value></field>"), "no FORM_TYPE"),
    "two values of FORM_TYPE": (x(FORM_TYPE.replace("</field>", "<value>b</value></field>")), "exactly one value"),
    "another FORM_TYPE": (x("<field var='FORM_TYPE'><value>wrong</value></field>"), "FORM_TYPE must be"),
    "a field without a value": (x(FORM_TYPE + "<field var='a'/>"), "'a' must have exactly one value"),
    "a field with two values": (
        x(FORM_TYPE + "<field var='a'><value>1</value><value>2</value></field>"),
        "'a' must have exactly one value",
    ),
    "disable without a jid": (disable(""), "jid attribute is missing"),
    "disable with an empty jid": (disable("jid='' node='n'"), "jid attribute is empty"),
    "disable with an unparsable jid": (disable("jid='a@b@c'"), "jid attribute is not a JID"),
    "disable with an empty node": (disable("jid='app.example' node=''"), "node attribute is empty"),
}
FORGIVEN = {
    "a field without a name": x(FORM_TYPE + "<field><value>1</value></field>"),
    "an empty value": x(FORM_TYPE + "<field var='a'><value/></field>"),
    "an x that is no form": enable(content="<x xmlns='urn:x-test:other'/>"),
    "a field of a type": x(FORM_TYPE + "<field var='a' type='boolean'><value>1</value></field>"),
}


def text(answer: Element) -> str:
    return answer.findtext(f"{{*}}error/{{{STANZAS}}}text") or ""


def test_malformed_requests_are_told_what_is_wrong_and_store_nothing(world: World) -> None:
    # Given somebody
    person = world.person(world.account())
    # When they ask for what nobody can ask for
    for name, (payload, said) in MALFORMED.items():
        answer = person.iq(payload.replace("app.example", world.service.jid))
        # Then the answer names the mistake
        assert condition(answer) == ("modify", "bad-request"), name
        assert said in text(answer), f"{name}: {text(answer)}"
    # And nothing is stored
    world.leave(person)
    world.alice.message(person.bare, "hello")
    world.silent("n")


def test_a_child_without_a_namespace_is_refused(world: World) -> None:
    person = world.person(world.account())
    assert person.iq("<enable jid='app.example' node='n'/>").get("type") == "error"


@pytest.mark.parametrize("what", ["enable", "disable"])
def test_a_request_of_type_get_is_not_allowed(world: World, what: str) -> None:
    person = world.person(world.account())
    answer = person.iq(f"<{what} xmlns='{PUSH}' jid='app.example' node='n'/>", kind="get")
    assert condition(answer) == ("cancel", "not-allowed")


@pytest.mark.parametrize("name", FORGIVEN)
def test_what_can_be_understood_is_accepted(world: World, name: str) -> None:
    person = world.person(world.account())
    assert person.iq(FORGIVEN[name]).get("type") == "result"


def test_of_two_fields_of_one_name_the_last_counts(world: World) -> None:
    # Given somebody whose form says something twice
    person = world.person(world.account())
    fields = "".join(f"<field var='a'><value>{value}</value></field>" for value in (1, 2))
    person.iq(x(FORM_TYPE + fields).replace("app.example", world.service.jid).replace("'n'", "'twice'"))
    world.leave(person)
    # When alice writes
    world.alice.message(person.bare, "hello")
    # Then the last word is published
    assert [one.options for one in world.pushed(person.bare, "twice")] == [{"a": "2"}]


def test_nobody_enables_push_for_somebody_else(world: World) -> None:
    # Given somebody, and somebody else
    person, other = world.person(world.account()), world.account()
    # When the one asks in the other's place
    answer = person.iq(enable(f"jid='{world.service.jid}' node='foreign'"), to=other)
    # Then it is refused, and neither of them gets a push
    assert condition(answer) in (("auth", "forbidden"), ("cancel", "service-unavailable"))
    world.leave(person)
    for jid in (person.bare, other):
        world.alice.message(jid, "hello")
    world.silent("foreign")


@pytest.mark.parametrize("options", [{"b": "2"}, None], ids=["other options", "no form"])
def test_enabling_again_replaces_the_options(world: World, options: dict[str, str] | None) -> None:
    # Given somebody who enabled push with some options, and then again
    person = world.person(world.account())
    person.enable(world.service.jid, "again", {"a": "1"})
    person.enable(world.service.jid, "again", options)
    world.leave(person)
    # When alice writes
    world.alice.message(person.bare, "hello")
    # Then there is one push, with the new ones
    assert [one.options for one in world.pushed(person.bare, "again")] == [options]


def test_an_account_has_so_many_registrations_at_most(world: World) -> None:
    # Given somebody with as many as there may be
    person = world.person(world.account())
    for number in range(MAX_REGISTRATIONS):
        person.enable(world.service.jid, f"n{number}")
    # When they ask for one more
    answer = person.iq(enable(f"jid='{world.service.jid}' node='one-more'", form({})))
    # Then they are told so
    assert condition(answer) == ("wait", "resource-constraint")
    assert str(MAX_REGISTRATIONS) in text(answer)
    # And may renew one, or have another in its place
    person.enable(world.service.jid, "n0", {"new": "yes"})
    person.disable(world.service.jid, "n0")
    person.enable(world.service.jid, "one-more")
