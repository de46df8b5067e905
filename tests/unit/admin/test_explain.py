"""The one sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from event_pusher.admin.explain import Known, verdict

ENABLED, DISABLED = {"enabled": True}, {"enabled": False}
BASE = Known("bob@example.org", hosts=["example.org"], online=False, registrations=[ENABLED, ENABLED])


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (BASE, "would be pushed now: offline, 2 registrations"),
        (replace(BASE, online=True), "not pushed to now: online"),
        (replace(BASE, online=None), "if `event-pusher run` were running"),
        (replace(BASE, hosts=["other.example"]), "add it to hosts of a source"),
        (replace(BASE, registrations=[DISABLED]), "its 1 are disabled"),
        (replace(BASE, registrations=[]), "the client must enable push again"),
        (replace(BASE, only_users=frozenset({"eve@example.org"})), "only_users"),
        (replace(BASE, dry_run=True), "dry_run"),
        (replace(BASE, troubles={"database": "the disk is full"}), "deliveries wait: database: the disk is full"),
    ],
)
def test_what_stands_in_the_way_is_said(known: Known, said: str) -> None:
    assert said in verdict(known)
