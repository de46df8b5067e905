"""IQs to push services: what is sent, and whose answers are believed."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from lxml import etree

from event_pusher.abc import Attempt, Delivery, IqAnswer, IqRequest
from event_pusher.xmpp.answers import OpenIqs
from event_pusher.xmpp.publish import IqSender, PublishAs

Make = Callable[[str], etree._Element]

SERVICE = "p.example.net"
PAYLOAD = b"<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n'/></pubsub>"
FEED = "urn:event-pusher:feed:0"


class World:
    """An `IqSender` with everything around it in plain sight."""

    def __init__(self, clock: Any, stanza: Make, publish_as: PublishAs = "host", per_service: int = 1000) -> None:
        self.sent: list[bytes] = []
        self.answers: list[tuple[int, IqAnswer]] = []
        self.counters: dict[str, int] = {}
        self.open = True
        self.full = False
        self.table = OpenIqs(clock, self.counters, per_service)
        self.sender = IqSender(
            "push.example.org",
            ["example.org"],
            publish_as,
            self.table,
            self._send,
            lambda: self.open,
            lambda: self.full,
            self.counters,
        )
        self._stanza = stanza

    def _send(self, data: bytes) -> bool:
        if self.open:
            self.sent.append(data)
        return self.open

    def request(self, *numbers: int, to: str = SERVICE, host: str = "example.org", timeout: float = 40.0) -> None:
        def told(answers: Sequence[tuple[Attempt, IqAnswer]]) -> None:
            self.answers += [(attempt.id, answer) for attempt, answer in answers]

        attempts = [Attempt(n, 1, "k", Delivery("bob@example.org", to, b""), 0.0) for n in numbers]
        self.sender.request([IqRequest(host, to, PAYLOAD, attempt) for attempt in attempts], timeout, told)

    def iqs(self) -> list[etree._Element]:
        wrapped = self._stanza(f"<message>{b''.join(self.sent).decode()}</message>")
        return list(wrapped)

    def relayed(
        self,
        iq: etree._Element,
        inner: str = "type='result'",
        child: str = "",
        *,
        sender: str = SERVICE,
        host: str = "example.org",
    ) -> None:
        self.read(
            f"<iq type='result' id='{iq.get('id')}' from='{host}' to='push.example.org'><publish xmlns='{FEED}'>"
            f"<iq xmlns='jabber:client' {inner} id='x' from='{sender}' to='example.org'>{child}</iq></publish></iq>"
        )

    def read(self, xml: str) -> None:
        self.sender.read([self._stanza(xml)])


@pytest.fixture
def world(clock: Any, stanza: Make) -> World:
    return World(clock, stanza)


@pytest.fixture
def direct(clock: Any, stanza: Make) -> World:
    return World(clock, stanza, "component")


def error(condition: str, kind: str = "cancel", attributes: str = "") -> str:
    ns = "urn:ietf:params:xml:ns:xmpp-stanzas"
    return f"<error type='{kind}' {attributes}><{condition} xmlns='{ns}'/><text xmlns='{ns}'>why</text></error>"


def test_a_relayed_publish_travels_in_the_hosts_envelope(world: World) -> None:
    # Given a request of forty seconds
    world.request(1)
    # Then the host is asked to relay it, and to give up before we do
    [iq] = world.iqs()
    assert (iq.get("type"), iq.get("from"), iq.get("to")) == ("set", "push.example.org", "example.org")
    publish = iq[0]
    assert (publish.tag, publish.get("timeout")) == (f"{{{FEED}}}publish", "32")
    inner = publish[0]
    assert (inner.get("to"), inner.get("from"), inner.get("type")) == (SERVICE, None, "set")
    assert inner[0][0].get("node") == "n"


def test_a_direct_publish_comes_from_the_component(direct: World) -> None:
    direct.request(1)
    [iq] = direct.iqs()
    assert (iq.get("from"), iq.get("to"), str(iq[0].tag).rpartition("}")[2]) == ("push.example.org", SERVICE, "pubsub")


def test_addresses_are_escaped(world: World) -> None:
    world.request(1, to="it's&co@p.x")
    assert world.iqs()[0][0][0].get("to") == "it's&co@p.x"


def test_a_batch_leaves_in_one_piece_with_an_id_each(world: World) -> None:
    world.request(1, 2, 3)
    assert len(world.sent) == 1
    assert len({iq.get("id") for iq in world.iqs()}) == 3


def test_ids_of_two_starts_have_nothing_in_common(world: World, clock: Any, stanza: Make) -> None:
    other = World(clock, stanza)
    world.request(1)
    other.request(1)
    assert world.iqs()[0].get("id", "")[:16] != other.iqs()[0].get("id", "")[:16]


def test_results_and_errors_come_back_unwrapped(world: World) -> None:
    world.request(1, 2)
    first, second = world.iqs()
    world.relayed(second, "type='error'", error("item-not-found", attributes="by='gw.x'"))
    world.relayed(first)
    assert world.answers == [(2, IqAnswer("error", "item-not-found", "cancel", "why", "gw.x")), (1, IqAnswer("result"))]


def test_the_hosts_own_timeout_names_the_host(world: World) -> None:
    world.request(1)
    timeout = error("remote-server-timeout", "wait", "by='example.org'")
    world.relayed(world.iqs()[0], "type='error'", timeout, sender="example.org")
    assert world.answers == [(1, IqAnswer("error", "remote-server-timeout", "wait", "why", "example.org"))]


def test_a_host_that_does_not_relay_is_no_verdict_about_the_service(world: World) -> None:
    # Given a host without our module
    world.request(1)
    refusal = error("service-unavailable", "cancel")
    world.read(f"<iq type='error' id='{world.iqs()[0].get('id')}' from='example.org'>{refusal}</iq>")
    # Then the answer waits and names the host: nobody's registration shall be disabled for it
    assert world.answers == [(1, IqAnswer("error", "service-unavailable", "wait", "why", "example.org"))]
    assert world.counters["relays_refused"] == 1


def test_an_error_without_any_content_is_an_error_still(world: World) -> None:
    world.request(1)
    world.relayed(world.iqs()[0], "type='error'")
    assert world.answers == [(1, IqAnswer("error", "undefined-condition"))]


@pytest.mark.parametrize(
    "child", ["", f"<publish xmlns='{FEED}'/>", f"<publish xmlns='{FEED}'><x/></publish>", "<x><y/></x>"]
)
def test_a_hosts_empty_answer_is_no_verdict_either(world: World, child: str) -> None:
    world.request(1)
    world.read(f"<iq type='result' id='{world.iqs()[0].get('id')}' from='example.org'>{child}</iq>")
    [(_, answer)] = world.answers
    assert (answer.type, answer.error_type, answer.by) == ("error", "wait", "example.org")


@pytest.mark.parametrize("sender", ["evil.org", "p.example.net.evil.org", "x@p.example.net"])
def test_an_answer_of_somebody_else_is_counted_and_ignored(world: World, sender: str) -> None:
    # Given an open publish, when a third party answers in the service's place
    world.request(1)
    world.relayed(world.iqs()[0], "type='error'", error("item-not-found"), sender=sender)
    # Then nothing is believed, and the true answer still counts
    assert (world.answers, world.counters["answers_forged"]) == ([], 1)
    world.relayed(world.iqs()[0])
    assert world.answers == [(1, IqAnswer("result"))]


def test_an_envelope_of_another_host_is_ignored(world: World) -> None:
    world.request(1)
    world.relayed(world.iqs()[0], host="evil.org")
    assert (world.answers, world.counters["answers_forged"]) == ([], 1)


def test_a_host_cannot_say_result_in_a_services_name(world: World) -> None:
    world.request(1)
    world.relayed(world.iqs()[0], sender="example.org")
    assert (world.answers, world.counters["answers_forged"]) == ([], 1)


def test_a_direct_answer_is_believed_from_the_service_only(direct: World) -> None:
    direct.request(1)
    identifier = direct.iqs()[0].get("id")
    direct.read(f"<iq type='result' id='{identifier}' from='evil.org'/>")
    assert direct.answers == []
    direct.read(f"<iq type='result' id='{identifier}' from='P.Example.net'/>")
    assert direct.answers == [(1, IqAnswer("result"))]


def test_unknown_doubled_and_late_answers_are_counted(world: World, clock: Any) -> None:
    world.request(1)
    iq = world.iqs()[0]
    world.relayed(iq)
    world.relayed(iq)
    world.read("<iq type='result' id='guess' from='example.org'/>")
    world.read("<iq type='result' from='example.org'/>")
    assert (world.counters["answers_late"], world.counters["answers_unknown"]) == (1, 2)
    assert len(world.answers) == 1


def test_an_answer_after_the_deadline_is_late(world: World, clock: Any) -> None:
    # Given a request whose deadline passed, when another one is made
    world.request(1, timeout=40.0)
    clock.time += 41
    world.request(2, timeout=40.0)
    # Then the first is forgotten and its answer counted
    world.relayed(world.iqs()[0])
    assert world.answers == []
    assert (world.counters["requests_expired"], world.counters["answers_late"], len(world.table)) == (1, 1, 1)


def test_requests_with_a_longer_timeout_do_not_hold_the_shorter_ones(world: World, clock: Any) -> None:
    world.request(1, timeout=100.0)
    world.request(2, timeout=10.0)
    clock.time += 11
    world.table.prune()
    assert len(world.table) == 1


def test_without_a_stream_all_is_unsent_and_nothing_stays_open(world: World) -> None:
    world.open = False
    world.request(1, 2)
    assert [answer.type for _, answer in world.answers] == ["unsent", "unsent"]
    assert len(world.table) == 0
    assert not world.sender.ready()


def test_a_full_stream_takes_no_more(world: World) -> None:
    world.full = True
    world.request(1)
    assert world.answers == [(1, IqAnswer("unsent"))]
    assert not world.sender.ready()


def test_a_service_with_too_many_open_gets_no_more_and_others_do(clock: Any, stanza: Make) -> None:
    world = World(clock, stanza, per_service=2)
    world.request(1, 2, 3)
    world.request(4, to="q.example.net")
    assert world.answers == [(3, IqAnswer("unsent"))]
    world.relayed(world.iqs()[0])
    world.request(5)
    assert len(world.table) == 3


def test_a_host_that_is_not_ours_is_unsent(world: World) -> None:
    world.request(1, host="other.org")
    assert world.answers == [(1, IqAnswer("unsent"))]


def test_relayed_requests_outlive_their_stream(world: World) -> None:
    world.request(1)
    world.sender.lost("connection-lost")
    assert world.answers == []
    world.relayed(world.iqs()[0])
    assert world.answers == [(1, IqAnswer("result"))]


def test_direct_requests_are_lost_with_their_stream(direct: World) -> None:
    direct.request(1, 2)
    direct.sender.lost("connection-lost")
    assert direct.answers == [(1, IqAnswer("lost")), (2, IqAnswer("lost"))]


def test_a_host_that_began_anew_has_lost_what_it_relayed(world: World) -> None:
    world.request(1)
    world.sender.host_restarted("other.org")
    assert world.answers == []
    world.sender.host_restarted("example.org")
    assert world.answers == [(1, IqAnswer("lost"))]
