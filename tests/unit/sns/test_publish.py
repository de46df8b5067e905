"""Publishing: batches over HTTP to moto, read back from a queue; what each failure means."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from aws import Aws, partial, refusal

from event_pusher.abc import DELIVERED, Dead, Outcome, Retry, Unknown, Unsent
from event_pusher.testing import ManualClock, Reports, user_status_event
from event_pusher.testing.factories import ALICE, BOB
from event_pusher_sns.wire import MAX_BYTES
from tests.unit.sns.conftest import Publisher
from tests.unit.sns.support import PM, PRESENCE, attempts, publish, sent, some
from tests.unit.sns.test_decide import Masked


def texts(queue: Any) -> list[str]:
    return [json.loads(body)["message"] for body in queue.bodies()]


# --- what arrives -------------------------------------------------------------------------------------------------


def test_a_message_arrives_in_a_queue_that_is_subscribed(aws: Aws, publisher: Publisher) -> None:
    # Given a topic with a queue
    queue = aws.topic("pm")
    sns = publisher()
    # When a message is published
    outcomes = publish(sns, attempts(sns, sent("Zażółć ☕")))
    # Then the queue has it, as the model writes it
    assert outcomes == [DELIVERED]
    assert [json.loads(body) for body in queue.bodies()] == [
        {"from_user_id": ALICE, "to_user_id": BOB, "message": "Zażółć ☕"}
    ]


def test_presence_arrives_as_the_model_writes_it(aws: Aws, publisher: Publisher) -> None:
    queue = aws.topic("presence")
    sns = publisher()

    publish(sns, attempts(sns, user_status_event(status="online")))
    publish(sns, attempts(sns, user_status_event(status="offline")))

    assert [json.loads(body) for body in queue.bodies()] == [
        {"user_id": BOB, "present": True},
        {"user_id": BOB, "present": False},
    ]


def test_attributes_arrive(aws: Aws, publisher: Publisher) -> None:
    queue = aws.topic("pm")
    sns = publisher(Masked)

    publish(sns, attempts(sns, sent(id="m7")))

    (got,) = queue.receive()
    attributes = got["MessageAttributes"]
    assert {name: attributes[name].get("StringValue") for name in ("said", "version", "test")} == {
        "said": "chat m7",
        "version": "2",
        "test": "true",
    }


def test_a_batch_is_one_request(aws: Aws, publisher: Publisher) -> None:
    aws.topic("pm")
    sns = publisher()

    outcomes = publish(sns, some(sns, 10))

    assert outcomes == [DELIVERED] * 10
    assert [len(request.entries) for request in aws.requests] == [10]


def test_each_topic_has_its_own_request(aws: Aws, publisher: Publisher) -> None:
    for name in ("pm", "presence"):
        aws.topic(name)
    sns = publisher()

    publish(sns, attempts(sns, sent(), user_status_event(), sent(sender="carol@example.org/r")))

    assert [(request.topic, len(request.entries)) for request in aws.requests] == [(PM, 2), (PRESENCE, 1)]


def test_a_batch_that_is_too_large_is_split(aws: Aws, publisher: Publisher) -> None:
    # Given five messages of which three and a bit fill a request
    queue = aws.topic("pm")
    sns = publisher()
    # When they are published in one batch
    outcomes = publish(sns, some(sns, 5, size=80_000))
    # Then there are two requests, and all arrive in order
    assert outcomes == [DELIVERED] * 5
    assert [len(request.entries) for request in aws.requests] == [3, 2]
    assert [text[0] for text in texts(queue)] == list("01234")


def test_a_message_that_no_request_can_hold_is_dead_alone(aws: Aws, publisher: Publisher) -> None:
    queue = aws.topic("pm")
    sns = publisher()

    huge = sent("x" * MAX_BYTES, sender="carol@example.org/r")
    outcomes = publish(sns, attempts(sns, sent("before"), huge, sent("after", sender=f"{BOB}/r")))

    assert [type(outcome) for outcome in outcomes] == [type(DELIVERED), Dead, type(DELIVERED)]
    assert texts(queue) == ["before", "after"]


def test_a_payload_that_cannot_be_read_is_dead_alone(aws: Aws, publisher: Publisher) -> None:
    aws.topic("pm")
    sns = publisher()
    two = some(sns, 2)
    two[0].delivery.payload = b"{}"

    assert publish(sns, two) == [Dead("its payload is not readable"), DELIVERED]


# --- what is refused ----------------------------------------------------------------------------------------------


def test_of_a_batch_each_entry_has_its_own_outcome(aws: Aws, publisher: Publisher) -> None:
    # Given SNS takes a part of a batch, faults one of it, fails at one, slows one down and forgets one
    codes = {1: ("InvalidParameter", True), 2: ("InternalError", False), 3: ("Throttled", True)}
    aws.faults.append(partial(codes, silent=frozenset({4})))
    sns = publisher()
    # Then each is told so
    assert publish(sns, some(sns, 6)) == [
        DELIVERED,
        Dead("SNS refused it: InvalidParameter"),
        Retry("SNS: InternalError"),
        Retry("SNS: Throttled"),
        Unknown("SNS did not say"),
        DELIVERED,
    ]


def test_what_failed_is_tried_again_alone(aws: Aws, publisher: Publisher) -> None:
    # Given a batch of which one failed
    queue = aws.topic("pm")
    sns = publisher()
    aws.faults.append(partial({1: ("InternalError", False)}))
    batch = some(sns, 3)
    outcomes = publish(sns, batch)
    # When what is not delivered is published again
    again = [one for one, outcome in zip(batch, outcomes, strict=True) if outcome != DELIVERED]
    publish(sns, again)
    # Then it alone is
    assert [len(request.entries) for request in aws.requests] == [3, 1]
    assert [text[0] for text in texts(queue)] == ["1"]


def test_one_that_spoils_its_batch_falls_alone(aws: Aws, publisher: Publisher) -> None:
    # Given SNS refuses a whole request for the sake of one entry
    queue = aws.topic("pm")
    sns = publisher()
    aws.faults += [refusal(400, "InvalidParameter"), lambda _: None, refusal(400, "InvalidParameter")]
    # Then each is tried alone, and all but one arrive
    assert publish(sns, some(sns, 3)) == [DELIVERED, Dead("SNS refused it: InvalidParameter"), DELIVERED]
    assert [text[0] for text in texts(queue)] == ["0", "2"]


@pytest.mark.parametrize(
    ("status", "code", "headers", "outcome"),
    [
        (400, "Throttling", {}, Retry("SNS: Throttling")),
        (400, "ThrottlingException", {"Retry-After": "7"}, Retry("SNS: ThrottlingException", 7.0)),
        (429, "Whatever", {"Retry-After": "7"}, Retry("SNS: Whatever", 7.0)),
        (503, "ServiceUnavailable", {"Retry-After": "soon"}, Retry("SNS: ServiceUnavailable")),
        (500, "InternalFailure", {}, Retry("SNS: InternalFailure")),
        (400, "KMSDisabled", {}, Retry("SNS: KMSDisabled")),
        (403, "SignatureDoesNotMatch", {}, Retry("SNS: SignatureDoesNotMatch: the secret access key is wrong")),
        (403, "ExpiredToken", {}, Retry("SNS: ExpiredToken: the credentials have expired")),
        (400, "InvalidParameter", {}, Dead("SNS refused it: InvalidParameter")),
    ],
)
def test_a_refused_request_says_what_follows(
    aws: Aws, publisher: Publisher, status: int, code: str, headers: dict[str, str], outcome: Outcome
) -> None:
    aws.faults.append(refusal(status, code, **headers))
    sns = publisher()

    assert publish(sns, some(sns, 1)) == [outcome]


def test_a_topic_that_is_missing_may_still_be_made(aws: Aws, publisher: Publisher) -> None:
    # Given no such topic
    sns = publisher()
    batch = some(sns, 1)
    assert publish(sns, batch) == [Retry("SNS: NotFound: there is no such topic")]
    assert sns.health() == "SNS: NotFound: there is no such topic"
    # When it is made
    queue = aws.topic("pm")
    # Then the next try arrives, and all is well
    assert publish(sns, batch) == [DELIVERED]
    assert len(queue.bodies()) == 1
    assert sns.health() is None


# --- what is lost on the way --------------------------------------------------------------------------------------


def test_what_cannot_leave_is_tried_again_when_sns_is_back(aws: Aws, publisher: Publisher) -> None:
    # Given SNS is away
    queue = aws.topic("pm")
    sns = publisher()
    aws.leave()
    batch = some(sns, 3)
    assert publish(sns, batch) == [Retry("SNS cannot be reached: EndpointConnectionError")] * 3
    # When it is back
    aws.come_back()
    # Then there is one copy of each
    assert publish(sns, batch) == [DELIVERED] * 3
    assert [text[0] for text in texts(queue)] == list("012")


def test_without_an_answer_in_time_nobody_knows(aws: Aws, publisher: Publisher) -> None:
    aws.hold()
    sns = publisher(publish_timeout=0.6)

    assert publish(sns, some(sns, 2)) == [Unknown("no answer from SNS: ReadTimeoutError")] * 2


def test_a_request_is_never_repeated_by_the_client(aws: Aws, publisher: Publisher) -> None:
    # Given SNS fails
    aws.faults += [refusal(500, "InternalFailure")] * 3
    sns = publisher()
    # When something is published
    publish(sns, some(sns, 1))
    # Then SNS heard of it once
    assert len(aws.requests) == 1


def test_nothing_is_sent_when_its_answer_would_come_too_late(aws: Aws, publisher: Publisher) -> None:
    # Given a batch that waited for a worker until a second before its deadline
    clock = ManualClock()
    sns = publisher(tools={"clock": clock})
    batch = attempts(sns, sent(), deadline=40.0)
    clock.advance(39.0)
    # Then it is given back
    assert publish(sns, batch) == [Unsent("no time is left")]
    assert aws.requests == []


def test_nothing_is_sent_after_the_close(aws: Aws, publisher: Publisher) -> None:
    sns = publisher()
    batch = some(sns, 1)
    sns.close(1.0)

    assert publish(sns, batch) == [Unsent("the backend is closed")]
    assert aws.requests == []


def test_what_is_in_flight_at_the_close_is_reported(aws: Aws, publisher: Publisher) -> None:
    # Given a request without an answer yet
    aws.topic("pm")
    aws.hold()
    sns, reports = publisher(), Reports()
    batch = some(sns, 1)
    worker = threading.Thread(target=sns.publish_many, args=(batch, reports))
    worker.start()
    assert aws.wait_requests(1)
    # When the backend is closed, and then the answer comes
    sns.close(0.1)
    aws.close()
    worker.join(10.0)
    # Then it is told once what became of it
    assert len(reports.of(batch[0])) == 1
