"""Custom plugins, written like ports of Erlang ones, through the whole core."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from event_pusher.abc import (
    Acc,
    ChatEvent,
    Jid,
    NoSettings,
    Notification,
    PushPlugin,
    Registration,
    Stanza,
    UnackedMessageEvent,
)
from event_pusher.intake import Occurrence, Refusal, SessionChange
from event_pusher.testing import unacked_message_event
from event_pusher.testing.factories import ALICE, BOB, HOST
from tests.unit.push.wire_reader import Publish, read
from tests.unit.support import Rig, Rigs, push


class NotFromAlice(PushPlugin[NoSettings]):
    """``should_publish/3`` only."""

    def should_publish(self, sender: Jid, recipient: Jid, packet: Stanza) -> bool:
        return str(sender.bare) != ALICE and super().should_publish(sender, recipient, packet)


class OnlyLoud(PushPlugin[NoSettings]):
    """``should_publish/3`` only, by what is said."""

    def should_publish(self, sender: Jid, recipient: Jid, packet: Stanza) -> bool:
        return packet.body.isupper() and super().should_publish(sender, recipient, packet)


class FirstDevice(PushPlugin[NoSettings]):
    """``publish_notification/5`` only: fewer services."""

    def publish_notification(
        self, acc: Acc, sender: Jid, recipient: Jid, packet: Stanza, services: Sequence[Registration]
    ) -> Acc:
        return super().publish_notification(acc, sender, recipient, packet, services[:1])


class OwnWords(PushPlugin[NoSettings]):
    """``publish_notification/5`` only: another notification, and nobody else is asked."""

    def publish_notification(
        self, acc: Acc, sender: Jid, recipient: Jid, packet: Stanza, services: Sequence[Registration]
    ) -> Acc:
        return acc.deliver(services, Notification((("title", f"{sender.local} wrote"),)))


class Silent(PushPlugin[NoSettings]):
    """``publish_notification/5`` only: nothing."""

    def publish_notification(
        self, acc: Acc, sender: Jid, recipient: Jid, packet: Stanza, services: Sequence[Registration]
    ) -> Acc:
        return acc


class Enhanced(PushPlugin[NoSettings]):
    """``should_publish/3`` since 3.6: what a broken session did not acknowledge is pushed at once, to one device."""

    def select_services(
        self, acc: Acc, event: ChatEvent | UnackedMessageEvent, services: Sequence[Registration]
    ) -> Sequence[Registration]:
        if isinstance(event, UnackedMessageEvent):
            return services[:1]
        return super().select_services(acc, event, services)


class Broken(PushPlugin[NoSettings]):
    """Raises."""

    def should_publish(self, sender: Jid, recipient: Jid, packet: Stanza) -> bool:
        raise ValueError(packet.body)


def enabled(rigs: Rigs, *plugins: type[PushPlugin[NoSettings]], devices: int = 1, **given: object) -> Rig:
    """A core with the push backend and these plugins; Bob has `devices`."""
    rig = rigs(backends=(push(*plugins, **given),))  # type: ignore[arg-type]  # the arguments of push
    answers: list[Refusal | None] = []
    rig.give(*(rig.enable(answers, node=f"node-{n + 1}") for n in range(devices)))
    return rig


def published(rig: Rig) -> list[Publish]:
    """What the server was asked to publish."""
    return [read(one.payload) for one in rig.feed.server.requests]


def reasons(rig: Rig) -> list[str]:
    """Why, or why not."""
    return [one.reason for one in rig.built.dispatcher.decisions]


def test_should_publish_alone_decides_by_the_message(rigs: Rigs) -> None:
    # Given a plugin that knows one callback
    rig = enabled(rigs, NotFromAlice)
    # When Alice and somebody else write
    rig.give(rig.message("one"), rig.message("two", sender=f"carol@{HOST}/x"))
    # Then only the other's is pushed, with all that the defaults do
    assert [one.fields[1] for one in published(rig)] == [("last-message-sender", f"carol@{HOST}")]
    assert reasons(rig) == ["plugin", "accepted"]


def test_should_publish_is_asked_after_the_state(rigs: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a plugin that would fail
    rig = enabled(rigs, Broken)
    # When Bob is online, Then it is not asked
    rig.give(rig.message("one", state="online"))
    assert reasons(rig) == ["online"]


@pytest.mark.parametrize(
    ("plugin", "nodes"), [(FirstDevice, ["node-1"]), (OwnWords, ["node-1", "node-2"]), (Silent, [])]
)
def test_publish_notification_alone_chooses_services(
    rigs: Rigs, plugin: type[PushPlugin[NoSettings]], nodes: list[str]
) -> None:
    rig = enabled(rigs, plugin, devices=2)
    rig.give(rig.message("hello"))
    assert [one.node for one in published(rig)] == nodes
    assert reasons(rig) == ["accepted" if nodes else "plugin"]


def test_publish_notification_may_say_something_else(rigs: Rigs) -> None:
    rig = enabled(rigs, OwnWords)
    rig.give(rig.message("hello"))
    assert [one.fields for one in published(rig)] == [[("title", "alice wrote")]]


def test_a_chain_of_two_asks_both(rigs: Rigs) -> None:
    # Given two plugins, each with a callback of its own
    rig = enabled(rigs, NotFromAlice, OnlyLoud)
    carol = f"carol@{HOST}/x"
    # Then both have to agree
    rig.give(rig.message("LOUD"), rig.message("quiet", sender=carol), rig.message("HEY", sender=carol))
    assert [one.fields[2][1] for one in published(rig)] == ["HEY"]


def test_a_host_may_have_a_chain_of_its_own(rigs: Rigs) -> None:
    rig = enabled(rigs, hosts={HOST: (Silent,), "other.example": ()})
    rig.give(rig.message("hello"))
    assert published(rig) == []
    assert reasons(rig) == ["plugin"]


def test_another_host_keeps_the_common_chain(rigs: Rigs) -> None:
    rig = enabled(rigs, hosts={"other.example": (Silent,)})
    rig.give(rig.message("hello"))
    assert len(published(rig)) == 1


def test_a_copy_reaches_each_device_once(rigs: Rigs) -> None:
    # Given a plugin that pushes to the device whose session broke
    rig = enabled(rigs, Enhanced, devices=2)
    rig.give(rig.event(unacked_message_event("hello", id="m1")))
    assert [one.node for one in published(rig)] == ["node-1"]
    # When the session dies and the message comes again as offline
    rig.give(rig.message("hello", id="m1"))
    # Then the other device gets it, and the first does not get it twice
    assert [one.node for one in published(rig)] == ["node-1", "node-2"]


def test_with_a_plugin_that_selects_an_online_user_is_still_not_pushed(rigs: Rigs) -> None:
    rig = enabled(rigs, Enhanced)
    rig.give(rig.message("hello", state="online"))
    assert published(rig) == []


def test_a_plugin_that_raises_costs_that_event_and_its_words_stay_out_of_the_log(
    rigs: Rigs, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a plugin that quotes messages when it fails
    rig = enabled(rigs, Broken)
    rig.give(rig.message("my password is swordfish"))
    rig.turn(3, seconds=1)
    # Then the event is acknowledged and the log does not quote
    assert reasons(rig) == ["error"]
    assert rig.feed.acknowledged[-1].n == 1
    assert "swordfish" not in caplog.text
    assert "push" in caplog.text


def test_a_publish_comes_from_the_users_host_and_names_its_item(rigs: Rigs) -> None:
    rig = enabled(rigs)
    rig.give(rig.message("hello"))
    (request,) = rig.feed.server.requests
    assert (request.host, request.to) == (HOST, "push.example.net")
    assert read(request.payload).item == request.token.key


def test_bound_but_silent_counts_as_online(rigs: Rigs) -> None:
    # Given Bob bound a session and sent no presence: the server calls him offline
    rig = enabled(rigs)
    rig.give(Occurrence("feed", HOST, rig.at(), change=SessionChange("session-start", BOB, "tablet", "s1")))
    # When a message comes, Then it is not pushed
    rig.give(rig.message("hello"))
    assert reasons(rig) == ["online"]
    # And after it ended, it is
    rig.give(Occurrence("feed", HOST, rig.at(), change=SessionChange("session-end", BOB, "tablet", "s1")))
    rig.give(rig.message("hello"))
    assert len(published(rig)) == 1


def test_a_rooms_copy_for_an_account_that_is_online_makes_no_push(rigs: Rigs) -> None:
    # Given Bob has a session; no server hands a room's copy for his account to it, and one calls that offline
    rig = enabled(rigs)
    rig.give(Occurrence("feed", HOST, rig.at(), change=SessionChange("available", BOB, "tablet", "s1", 0)))
    # When a room's copy comes, Then it is not pushed
    rig.give(rig.message("hello", type="groupchat"))
    assert reasons(rig) == ["online"]
    # And what a dying session did not acknowledge, which is told before its end, is
    rig.give(rig.message("on its way", recipient=f"{BOB}/tablet", type="groupchat"))
    assert [one.fields[-1] for one in published(rig)] == [("last-message-body", "on its way")]
