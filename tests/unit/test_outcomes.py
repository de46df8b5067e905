"""What a raised error says of a delivery."""

from __future__ import annotations

import pytest

from event_pusher.abc import Dead, Gone, Outcome, Retry, Unknown, Unsent, outcome_of
from event_pusher.errors import (
    DestinationGone,
    NothingSent,
    PermanentPublishError,
    TemporaryPublishError,
    UnknownOutcome,
)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (TemporaryPublishError("busy", 7.0), Retry("busy", 7.0)),
        (UnknownOutcome("no answer"), Unknown("no answer")),
        (NothingSent("full"), Unsent("full")),
        (PermanentPublishError("too big"), Dead("too big")),
        (DestinationGone("gone"), Gone("gone")),
        (ValueError("secret"), Retry("ValueError in publish")),
    ],
)
def test_each_error_is_one_outcome(error: Exception, outcome: Outcome) -> None:
    assert outcome_of(error) == outcome
