"""Each request goes to the server of its host."""

from __future__ import annotations

from collections.abc import Sequence

from event_pusher.abc import Attempt, Delivery, IqAnswer, IqRequest
from event_pusher.stanzas import StanzaRouter
from event_pusher.testing import RecordingStanzas, attempt
from event_pusher.testing.factories import BOB


def request(host: str) -> IqRequest:
    return IqRequest(host, "push.example.net", b"<pubsub/>", attempt(Delivery(BOB, "t", b"x")))


def test_a_batch_is_split_by_host_in_order() -> None:
    # Given two servers, of which one serves two hosts
    one, two = RecordingStanzas(), RecordingStanzas()
    router = StanzaRouter({"a": one, "b": two, "c": one})
    answers: list[tuple[Attempt, IqAnswer]] = []
    requests = [request(host) for host in "abca"]
    # When a batch goes out
    router.request(requests, 5.0, answers.extend)
    # Then each got its part, and all are answered
    assert [sent.host for sent in one.requests] == ["a", "c", "a"]
    assert [sent.host for sent in two.requests] == ["b"]
    assert {answer.id for answer, _ in answers} == {sent.token.id for sent in requests}


def test_a_host_that_nobody_serves_is_unsent_and_stops_nobody() -> None:
    one = RecordingStanzas()
    answers: list[tuple[Attempt, IqAnswer]] = []

    def take(part: Sequence[tuple[Attempt, IqAnswer]]) -> None:
        answers.extend(part)

    StanzaRouter({"a": one}).request([request("x"), request("a")], 5.0, take)
    assert [said.type for _, said in answers] == ["unsent", "result"]
    assert "no source serves x" in answers[0][1].text


def test_it_is_ready_when_any_server_is() -> None:
    one, two = RecordingStanzas(), RecordingStanzas()
    router = StanzaRouter({"a": one, "b": two})
    one.up = False
    assert router.ready()
    two.up = False
    assert not router.ready()
    assert not StanzaRouter({}).ready()
