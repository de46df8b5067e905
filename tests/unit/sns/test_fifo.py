"""FIFO topics: order for each user, and no second copy."""

from __future__ import annotations

import json

import pytest
from aws import Aws

from event_pusher.abc import DELIVERED, Attempt
from event_pusher.testing import attempt
from event_pusher.testing.factories import ALICE
from event_pusher_sns.wire import plain
from tests.unit.sns.conftest import Publisher
from tests.unit.sns.support import attempts, publish, sent
from tests.unit.sns.test_decide import Masked

TOPIC = "pm.fifo"


def again(first: Attempt) -> Attempt:
    """The next try of the same delivery: its key is the same."""
    return attempt(first.delivery, number=first.number + 1, id=first.id)


def test_messages_of_a_user_arrive_in_order_and_in_one_group(aws: Aws, publisher: Publisher) -> None:
    # Given a FIFO topic
    queue = aws.topic(TOPIC)
    sns = publisher(pm_messages_topic=TOPIC)
    # When Alice writes five messages, one after the other as the lane lets them go
    for number in range(5):
        assert publish(sns, attempts(sns, sent(str(number)))) == [DELIVERED]
    # Then they are there in order, in her group
    got = queue.receive()
    assert [json.loads(one["Body"])["message"] for one in got] == list("01234")
    assert {one["Attributes"]["MessageGroupId"] for one in got} == {ALICE}


def test_a_second_try_makes_no_second_copy(aws: Aws, publisher: Publisher) -> None:
    # Given something was published, and its answer was lost
    queue = aws.topic(TOPIC)
    sns = publisher(pm_messages_topic=TOPIC)
    (first,) = attempts(sns, sent())
    publish(sns, [first])
    # When it is tried again
    assert publish(sns, [again(first)]) == [DELIVERED]
    # Then there is one copy, by the delivery's key
    assert len(queue.bodies()) == 1
    assert {entry["MessageDeduplicationId"] for request in aws.requests for entry in request.entries} == {first.key}


def test_the_same_words_twice_are_two_messages(aws: Aws, publisher: Publisher) -> None:
    queue = aws.topic(TOPIC)
    sns = publisher(pm_messages_topic=TOPIC)

    for one in attempts(sns, sent("ha"), sent("ha")):
        publish(sns, [one])

    assert len(queue.bodies()) == 2


def test_the_group_is_the_name_that_the_plugin_gives(aws: Aws, publisher: Publisher) -> None:
    queue = aws.topic(TOPIC)
    sns = publisher(Masked, pm_messages_topic=TOPIC)

    publish(sns, attempts(sns, sent()))

    assert [one["Attributes"]["MessageGroupId"] for one in queue.receive()] == ["guid-of-alice"]


def test_other_topics_get_neither_group_nor_deduplication(aws: Aws, publisher: Publisher) -> None:
    aws.topic("pm")
    sns = publisher()

    publish(sns, attempts(sns, sent()))

    (entry,) = aws.requests[0].entries
    assert entry.keys() == {"Id", "Message"}


@pytest.mark.parametrize("text", ["żółw@example.org", "a b", "x" * 129, ""])
def test_a_group_that_sns_would_refuse_is_named_by_its_digest(text: str) -> None:
    assert plain(text) != text
    assert plain(text) == plain(text)
    assert len(plain(text)) == 64
