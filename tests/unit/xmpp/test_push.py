"""What clients ask for with enable and disable: each line of the table, and the text that says what is wrong."""

from collections.abc import Callable

import pytest
from lxml import etree

from event_pusher.intake import Disable, Enable, Refusal
from event_pusher.xmpp import push

Make = Callable[[str], etree._Element]
Ask = Callable[..., Enable | Disable | Refusal]

OPTIONS = "http://jabber.org/protocol/pubsub#publish-options"
ENABLE = "<enable xmlns='urn:xmpp:push:0' jid='p.example.net' node='n1'/>"


def form(fields: str, *, kind: str = "submit", form_type: str | None = OPTIONS) -> str:
    first = f"<field var='FORM_TYPE'><value>{form_type}</value></field>" if form_type is not None else ""
    return (
        "<enable xmlns='urn:xmpp:push:0' jid='p.example.net' node='n1'>"
        f"<x xmlns='jabber:x:data' type='{kind}'>{first}{fields}</x></enable>"
    )


def field(var: str, *values: str) -> str:
    return f"<field var='{var}'>{''.join(f'<value>{value}</value>' for value in values)}</field>"


@pytest.fixture
def ask(stanza: Make) -> Ask:
    """Reads a request of bob's."""

    def read(
        child: str, *, sender: str = "bob@example.org/r", to: str | None = "bob@example.org", kind: str = "set"
    ) -> Enable | Disable | Refusal:
        address = f" to='{to}'" if to is not None else ""
        return push.read_request(
            stanza(f"<iq type='{kind}' id='i' from='{sender}'{address}>{child}</iq>"), "example.org", lambda _: None
        )

    return read


def refused(item: Enable | Disable | Refusal) -> tuple[str, str, str]:
    assert isinstance(item, Refusal)
    return item.error_type, item.condition, item.text


def bad(item: Enable | Disable | Refusal) -> str:
    error_type, condition, text = refused(item)
    assert (error_type, condition) == ("modify", "bad-request")
    return text


def enabled(item: Enable | Disable | Refusal) -> Enable:
    assert isinstance(item, Enable)
    return item


def disabled(item: Enable | Disable | Refusal) -> Disable:
    assert isinstance(item, Disable)
    return item


def test_an_enable_without_a_form_has_no_options(ask: Ask) -> None:
    item = enabled(ask(ENABLE))
    assert (item.user, item.service, item.node, item.options) == ("bob@example.org", "p.example.net", "n1", ())


def test_a_service_is_stored_bare_and_normalised_and_the_node_is_opaque(ask: Ask) -> None:
    item = enabled(ask("<enable xmlns='urn:xmpp:push:0' jid='Push@P.Example.NET/r' node=' N 1 '/>"))
    assert (item.service, item.node) == ("push@p.example.net", " N 1 ")


def test_without_a_to_it_is_the_senders_own_account(ask: Ask) -> None:
    assert enabled(ask(ENABLE, to=None)).user == "bob@example.org"


@pytest.mark.parametrize(
    ("sender", "to"),
    [
        ("bob@example.org/r", "alice@example.org"),
        ("bob@example.org/r", "example.org"),
        ("bob@example.org/r", "bob@example.org/r"),
        ("bob@evil.org/r", "bob@evil.org"),
        ("example.org", "example.org"),
    ],
    ids=["another account", "the host", "a session", "another domain", "no account"],
)
def test_nobody_enables_for_another(ask: Ask, sender: str, to: str) -> None:
    error_type, condition, text = refused(ask(ENABLE, sender=sender, to=to))
    assert (error_type, condition) == ("auth", "forbidden")
    assert "own account" in text


def test_a_get_is_not_allowed(ask: Ask) -> None:
    assert refused(ask(ENABLE, kind="get"))[:2] == ("cancel", "not-allowed")


@pytest.mark.parametrize(
    ("child", "text"),
    [
        ("<other xmlns='urn:xmpp:push:0'/>", "must be <enable/> or <disable/>"),
        ("<enable jid='p.x' node='n'/>", "must be <enable/> or <disable/>"),
        ("", "exactly one child, it has 0"),
        (ENABLE * 2, "exactly one child, it has 2"),
        ("<enable xmlns='urn:xmpp:push:0' node='n'/>", "jid attribute is missing"),
        ("<enable xmlns='urn:xmpp:push:0' jid='' node='n'/>", "jid attribute is empty"),
        ("<enable xmlns='urn:xmpp:push:0' jid='a@@b' node='n'/>", "jid attribute is not a JID"),
        ("<enable xmlns='urn:xmpp:push:0' jid='a@' node='n'/>", "jid attribute is not a JID"),
        ("<enable xmlns='urn:xmpp:push:0' jid='Bob@example.org/x' node='n'/>", "names the account itself"),
        ("<enable xmlns='urn:xmpp:push:0' jid='p.x'/>", "node attribute is missing"),
        ("<enable xmlns='urn:xmpp:push:0' jid='p.x' node=''/>", "node attribute is empty"),
        (f"<enable xmlns='urn:xmpp:push:0' jid='p.x' node='{'é' * 513}'/>", "more than 1024 bytes"),
        (form("", kind="form"), "type must be 'submit'"),
        (form("").replace("type='submit'", ""), "type must be 'submit'"),
        (form("", form_type=None), "no FORM_TYPE"),
        (form(field("FORM_TYPE", OPTIONS)), "more than one FORM_TYPE"),
        (form("", form_type="urn:other"), "FORM_TYPE must be"),
        (form("", form_type=f"{OPTIONS}</value><value>x"), "'FORM_TYPE' must have exactly one value, it has 2"),
        (form(field("secret")), "'secret' must have exactly one value, it has 0"),
        (form(field("secret", "a", "b")), "'secret' must have exactly one value, it has 2"),
        (form("".join(field(f"f{n}", "x") for n in range(33))), "33 fields, at most 32"),
        (form(field("secret", "x" * 8193)), "at most 8192"),
        ("<disable xmlns='urn:xmpp:push:0'/>", "jid attribute is missing"),
        ("<disable xmlns='urn:xmpp:push:0' jid='@'/>", "jid attribute is not a JID"),
        ("<disable xmlns='urn:xmpp:push:0' jid='p.x' node=''/>", "node attribute is empty"),
    ],
)
def test_what_is_malformed_is_told_exactly(ask: Ask, child: str, text: str) -> None:
    assert text in bad(ask(child))


def test_a_refusal_never_repeats_an_option(ask: Ask) -> None:
    assert "hush" not in bad(ask(form(field("secret", "hush", "hush"))))


def test_a_bad_address_of_the_iq_is_told(ask: Ask) -> None:
    assert "no valid from or to" in bad(ask(ENABLE, to="@"))


def test_options_keep_their_order_and_the_last_of_two_counts(ask: Ask) -> None:
    child = form(field("b", "1") + field("a", "") + field("b", "2") + "<field><value>x</value><value/></field>")
    assert enabled(ask(child)).options == (("a", ""), ("b", "2"))


def test_the_form_type_may_be_written_on_its_own_line(ask: Ask) -> None:
    assert enabled(ask(form(field("secret", "s"), form_type=f"\n  {OPTIONS}\n"))).options == (("secret", "s"),)


def test_an_x_of_another_namespace_is_no_form(ask: Ask) -> None:
    child = ENABLE.replace("/>", "><x xmlns='urn:other'><field/></x></enable>")
    assert enabled(ask(child)).options == ()


@pytest.mark.parametrize("node", ["n1", None])
def test_a_disable_names_a_node_or_all(ask: Ask, node: str | None) -> None:
    attribute = f"node='{node}'" if node else ""
    item = disabled(ask(f"<disable xmlns='urn:xmpp:push:0' jid='p.example.net/r' {attribute}/>"))
    assert (item.user, item.service, item.node) == ("bob@example.org", "p.example.net", node)
