"""What makes the server close the stream is found, alone, and nothing else is taken for it."""

import re
from collections.abc import Sequence
from typing import Any

import pytest

from event_pusher.abc import Attempt, Delivery, IqAnswer, IqRequest
from event_pusher.xmpp.answers import OpenIqs
from event_pusher.xmpp.publish import IqSender
from event_pusher.xmpp.suspects import LOSSES, MEMORY_SECONDS, PATIENCE_SECONDS

HOST, SERVICE = "example.org", "p.example.net"
_STANZA = re.compile(rb"<iq type='(get|set)' id='([^']+)'.*?(?:</publish></iq>|<ping [^>]*/></iq>)", re.DOTALL)


class Rig:
    """An `IqSender`, and a server that reads when told and closes the stream on requests with the numbers `poison`."""

    def __init__(self, clock: Any, stanza: Any, *poison: int) -> None:
        self.clock, self.stanza, self.poison = clock, stanza, poison
        self.condition = "policy-violation"
        self.counters: dict[str, int] = {}
        self.wire: list[tuple[str, bytes, bytes]] = []
        self.answers: dict[int, list[IqAnswer]] = {}
        self.streams, self.silent, self.open = 1, False, True
        table = OpenIqs(clock, self.counters)
        self.sender = IqSender(
            "push.example.org", [HOST], "host", table, self._send, lambda: self.open, lambda: False, self.counters
        )

    def request(self, *numbers: int) -> None:
        """Ask for these publishes, as the core does: the same ones have the same keys."""
        attempts = [Attempt(n, 1, f"key-{n}", Delivery("bob@example.org", SERVICE, b""), 0.0) for n in numbers]
        wanted = [IqRequest(HOST, SERVICE, b"<pubsub n='%d'/>" % one.id, one) for one in attempts]
        self.sender.request(wanted, 40.0, self._told)

    def serve(self) -> None:
        """Let the server read and answer all there is; what it cannot bear ends the stream, and a new one begins."""
        while self.wire:
            self.serve_one()

    def serve_one(self) -> None:
        """The same for one stanza."""
        kind, identifier, xml = self.wire.pop(0)
        head = f"<iq type='result' id='{identifier.decode()}' from='{HOST}'>"
        if kind == "get":
            self._read(f"{head}</iq>")
        elif any(b"n='%d'" % number in xml for number in self.poison):
            self.lose(self.condition)
        elif not self.silent:
            inner = f"<iq xmlns='jabber:client' type='result' from='{SERVICE}'/>"
            self._read(f"{head}<publish xmlns='urn:event-pusher:feed:0'>{inner}</publish></iq>")

    def lose(self, condition: str) -> None:
        """End the stream, and begin a new one."""
        self.wire.clear()
        self.streams += 1
        self.sender.lost(condition)

    def rounds(self, number: int, *numbers: int) -> None:
        """Ask for the same publishes so often; each time the server reads them."""
        for _ in range(number):
            self.request(*numbers)
            self.serve()

    def said(self, number: int) -> list[str]:
        """The kinds of answers to one request."""
        return [one.type for one in self.answers.get(number, [])]

    def _send(self, data: bytes) -> bool:
        if self.open:
            self.wire += [(m[1].decode(), m[2], m[0]) for m in _STANZA.finditer(data)]
        return self.open

    def _read(self, xml: str) -> None:
        self.sender.read([self.stanza(xml)])

    def _told(self, answers: Sequence[tuple[Attempt, IqAnswer]]) -> None:
        for attempt, answer in answers:
            self.answers.setdefault(attempt.id, []).append(answer)


def test_the_one_that_breaks_the_stream_each_time_is_convicted_and_no_other(clock: Any, stanza: Any) -> None:
    # Given three requests of which the server cannot bear the second
    rig = Rig(clock, stanza, 2)
    rig.rounds(LOSSES, 1, 2, 3)
    assert (rig.said(1), rig.said(2), rig.said(3)) == (["result"] * LOSSES, [], [])
    # When those without an answer are asked for again
    rig.rounds(1, 2, 3)
    # Then it alone is the one that never goes again, and says why
    [fatal] = rig.answers[2]
    assert (fatal.type, fatal.text) == ("fatal", "the server closed the stream on it: policy-violation")
    # And what waited for its turn was not sent, and then goes
    assert rig.said(3) == ["unsent"]
    rig.rounds(1, 3)
    assert rig.said(3) == ["unsent", "result"]
    assert rig.streams == 1 + LOSSES + 1
    assert rig.counters["requests_convicted"] == 1
    assert rig.sender.ready()


def test_suspects_go_one_at_a_time_and_nothing_beside_them(clock: Any, stanza: Any) -> None:
    # Given two requests that were on two lost streams
    rig = Rig(clock, stanza, 9)
    rig.rounds(LOSSES, 9, 1, 2)
    rig.poison = ()
    # When they and another one are asked for
    rig.request(1, 2, 3)
    # Then a ping goes first, alone, and nobody else
    assert [kind for kind, _, _ in rig.wire] == ["get"]
    assert rig.said(3) == ["unsent"]
    assert not rig.sender.ready()
    rig.request(4)
    assert rig.said(4) == ["unsent"]
    # And each of them has the stream to itself until the ping behind it is answered
    sent = []
    while rig.wire:
        sent.append([kind for kind, _, _ in rig.wire])
        for _ in sent[-1]:
            rig.serve_one()
    assert sent == [["get"], ["set", "get"], ["set", "get"]]
    assert (rig.said(1), rig.said(2)) == (["result"], ["result"])
    assert rig.counters["suspects_cleared"] == 2
    assert rig.sender.ready()


def test_a_silent_push_service_holds_nobody_up(clock: Any, stanza: Any) -> None:
    # Given a suspect whose service does not answer
    rig = Rig(clock, stanza, 9)
    rig.rounds(LOSSES, 9, 1)
    rig.poison, rig.silent = (), True
    # When it is asked for, and the server has read it
    rig.rounds(1, 1)
    # Then it is cleared by the ping, and others go
    assert rig.said(1) == []
    assert rig.sender.ready()
    rig.silent = False
    rig.rounds(1, 5)
    assert rig.said(5) == ["result"]


def test_a_ping_without_an_answer_holds_nobody_up_for_long(clock: Any, stanza: Any) -> None:
    # Given a server that answers no pings
    rig = Rig(clock, stanza, 9)
    rig.rounds(LOSSES, 9)
    rig.request(9)
    rig.wire.clear()
    assert not rig.sender.ready()
    # When the patience is over, Then the suspect goes all the same, and then everybody
    clock.time += PATIENCE_SECONDS + 1
    assert not rig.sender.ready()
    assert [kind for kind, _, _ in rig.wire] == ["set", "get"]
    clock.time += PATIENCE_SECONDS + 1
    assert rig.sender.ready()


@pytest.mark.parametrize("condition", ["system-shutdown", "connection-timeout", "conflict", ""])
def test_an_end_that_no_stanza_causes_makes_nobody_suspect(clock: Any, stanza: Any, condition: str) -> None:
    rig = Rig(clock, stanza)
    for _ in range(5):
        rig.request(1)
        rig.lose(condition)
    rig.rounds(1, 1)
    assert rig.said(1) == ["result"]
    assert "suspects_tried" not in rig.counters


def test_a_connection_that_breaks_without_a_word_convicts_the_second_time(clock: Any, stanza: Any) -> None:
    # Given a server that dies of a request without a word
    rig = Rig(clock, stanza, 1)
    rig.condition = "connection-lost"
    rig.rounds(LOSSES + 1, 1)
    # Then it may have died of something else once
    assert rig.said(1) == ["lost"]
    # But not again
    rig.rounds(1, 1)
    assert rig.said(1) == ["lost", "fatal"]


def test_losses_long_ago_are_forgotten(clock: Any, stanza: Any) -> None:
    rig = Rig(clock, stanza, 1)
    for _ in range(4):
        rig.rounds(1, 1)
        clock.time += MEMORY_SECONDS + 1
    assert "suspects_tried" not in rig.counters


def test_the_stream_lost_in_the_middle_of_a_trial_gives_everybody_back(clock: Any, stanza: Any) -> None:
    # Given a suspect under trial and one that waits
    rig = Rig(clock, stanza, 9)
    rig.rounds(LOSSES, 9, 1, 2)
    rig.request(1, 2)
    rig.poison = ()
    # When the server is shut down
    rig.lose("system-shutdown")
    # Then both are unsent, and go later
    assert (rig.said(1), rig.said(2)) == (["unsent"], ["unsent"])
    rig.rounds(1, 1, 2)
    assert (rig.said(1)[-1], rig.said(2)[-1]) == ("result", "result")


def test_without_a_stream_a_suspect_is_unsent(clock: Any, stanza: Any) -> None:
    rig = Rig(clock, stanza, 1)
    rig.rounds(LOSSES, 1)
    rig.open = False
    rig.request(1)
    assert rig.said(1) == ["unsent"]
    rig.open, rig.poison = True, ()
    rig.rounds(1, 1)
    assert rig.said(1) == ["unsent", "result"]
