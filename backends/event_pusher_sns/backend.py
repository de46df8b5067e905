"""
The sns backend: presence, private and room messages, each to a topic of its own.

Decides as MongooseIM does, but that a user is told to be gone only when no session of theirs is left. Publishes in
batches, once; what is refused, lost or slowed down goes back to the outbox alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

from event_pusher.abc import (
    DELIVERED,
    Acc,
    Attempt,
    Backend,
    BackendTools,
    ChatEvent,
    Dead,
    Delivered,
    Delivery,
    Event,
    Outcome,
    Report,
    Retry,
    Stanza,
    Unknown,
    Unsent,
    UserStatusEvent,
)
from event_pusher.errors import EventPusherError, SettingsError
from event_pusher_sns import wire
from event_pusher_sns.client import SnsClient, outcome_of
from event_pusher_sns.plugin import SnsPlugin
from event_pusher_sns.settings import SnsSettings

_Outcomes = list[tuple[Attempt, Outcome]]
_Entries = Sequence[tuple[Attempt, dict[str, Any]]]
_STREAMS: Final = ("presence_updates_topic", "pm_messages_topic", "muc_messages_topic")


class _Channel:
    """Settings, plugins and client as they hold for one host."""

    def __init__(self, settings: SnsSettings, plugins: Sequence[SnsPlugin[Any]]) -> None:
        self.plugin = plugins[0]
        self.client = SnsClient(settings)
        self.presence, self.pm, self.muc = (
            wire.topic_arn(settings.region, settings.account_id, topic) if topic is not None else None
            for topic in (getattr(settings, name) for name in _STREAMS)
        )


class SnsBackend(Backend[SnsSettings]):
    """Status events and messages that users send become messages of SNS topics."""

    max_batch = wire.MAX_ENTRIES
    Settings = SnsSettings
    Plugin: ClassVar[type | None] = SnsPlugin

    def __init__(self, settings: SnsSettings, tools: BackendTools) -> None:
        super().__init__(settings, tools)
        self._default = _Channel(settings, tools.plugins)
        self._by_host = {
            host: _Channel(tools.host_settings.get(host, settings), tools.host_plugins.get(host, tools.plugins))
            for host in {*tools.host_settings, *tools.host_plugins}
        }
        faults = [
            f'hosts."{host}".backends.{tools.name}: pool_size and publish_retry_… cannot differ between hosts; '
            f"set them in [backends.{tools.name}]"
            for host, one in sorted(tools.host_settings.items())
            if (one.wpool, one.retry) != (settings.wpool, settings.retry)
        ]
        if faults:
            raise SettingsError(faults)
        self._closed = False
        self._trouble: str | None = None

    # --- deciding -----------------------------------------------------------------------------------------------

    def push_event(self, acc: Acc, event: Event) -> Iterable[Delivery]:
        """Presence to its topic; a message that a user sends, if it has a body, to the topic of its type."""
        match event:
            case UserStatusEvent():
                return self._presence(acc, event)
            case ChatEvent(direction="in", type="chat" | "groupchat"):
                return self._message(acc, event)
        acc.skip("kind")
        return ()

    def _presence(self, acc: Acc, event: UserStatusEvent) -> Iterable[Delivery]:
        channel, user = self._of(event.user.domain), str(event.user)
        if channel.presence is None:
            return ()
        present = event.status == "online"
        # The table knows this event, and maybe later ones of its batch: then what follows says how it ends.
        if not present and self.tools.sessions.is_available(user):
            acc.skip("online")
            return ()
        guid = channel.plugin.user_guid(event.jid)
        fields = wire.presence(guid, present=present)
        return [self._delivery(acc, event, channel, channel.presence, guid, fields)]

    def _message(self, acc: Acc, event: ChatEvent) -> Iterable[Delivery]:
        channel = self._of(event.user.domain)
        topic = channel.pm if event.type == "chat" else channel.muc
        if topic is None:
            return ()
        if not event.stanza.body and not _has_body(event.stanza):
            acc.skip("no-body")
            return ()
        guid = channel.plugin.user_guid(event.sender)
        fields = wire.message(guid, channel.plugin.user_guid(event.recipient), event.stanza.body)
        return [self._delivery(acc, event, channel, topic, guid, fields)]

    @staticmethod
    def _delivery(
        acc: Acc, event: UserStatusEvent | ChatEvent, channel: _Channel, topic: str, guid: str, fields: dict[str, Any]
    ) -> Delivery:
        attributes = channel.plugin.message_attributes(topic, event)
        notice = wire.notice(topic, guid, fields, acc.metadata, attributes)
        return Delivery(recipient=str(event.user), target=topic, payload=notice.pack())

    def _of(self, host: str) -> _Channel:
        return self._by_host.get(host, self._default)

    # --- doing --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Make the clients; SNS itself may be away."""
        for channel in self._channels():
            try:
                channel.client.open()
            except EventPusherError:
                raise
            except Exception as error:
                cure = "look at region and sns_host, and at boto3's own configuration"
                raise SettingsError([f"backends.{self.tools.name}: {type(error).__name__} of boto3; {cure}"]) from error
        if not any(arn for channel in self._channels() for arn in (channel.presence, channel.pm, channel.muc)):
            self.tools.log.warning("no topic is set, so nothing is published; set one of %s", ", ".join(_STREAMS))

    def publish_many(self, attempts: Sequence[Attempt], report: Report) -> None:
        """One request for each topic, more when they would be too large."""
        topics: dict[tuple[_Channel, str], list[tuple[tuple[Attempt, dict[str, Any]], int]]] = defaultdict(list)
        for number, attempt in enumerate(attempts):
            try:
                notice = wire.Notice.unpack(attempt.delivery.payload)
            except ValueError as error:
                report([(attempt, Dead(str(error)))])
                continue
            if notice.size > wire.MAX_BYTES:
                report([(attempt, Dead(f"{notice.size} bytes are more than SNS takes ({wire.MAX_BYTES})"))])
                continue
            channel = self._of(attempt.delivery.recipient.rpartition("@")[2])
            entry = notice.entry(number, attempt.key)
            topics[channel, attempt.delivery.target].append(((attempt, entry), notice.size))
        for (channel, topic), sized in topics.items():
            for part in wire.split(sized):
                outcomes = self._request(channel.client, topic, part)
                self._note(outcomes)
                report(outcomes)

    def close(self, timeout: float) -> None:
        """Let the connections go."""
        self._closed = True
        for channel in self._channels():
            channel.client.close()

    def health(self) -> str | None:
        """Why the last request failed, None when it went well."""
        return self._trouble

    def _request(self, client: SnsClient, topic: str, part: _Entries) -> _Outcomes:
        why = self._why_not_now(client, part)
        if why is not None:
            return [(attempt, Unsent(why)) for attempt, _ in part]
        try:
            answer = client.publish_batch(topic, [entry for _, entry in part])
        except Exception as error:  # noqa: BLE001 - `outcome_of` knows what each means
            outcome = outcome_of(error)
            if isinstance(outcome, Dead) and len(part) > 1:
                # One bad entry spoils the request: each is tried alone, so that it falls alone.
                return [one for single in part for one in self._request(client, topic, [single])]
            return [(attempt, outcome) for attempt, _ in part]
        told: dict[str, Outcome] = {one["Id"]: DELIVERED for one in answer.get("Successful", ())}
        for one in answer.get("Failed", ()):
            told[one["Id"]] = wire.verdict(one.get("Code") or "no code", sender_fault=bool(one.get("SenderFault")))
        return [(attempt, told.get(entry["Id"], Unknown("SNS did not say"))) for attempt, entry in part]

    def _why_not_now(self, client: SnsClient, part: _Entries) -> str | None:
        if self._closed:
            return "the backend is closed"
        left = min(attempt.deadline for attempt, _ in part) - self.tools.clock.monotonic()
        return "no time is left" if left < client.connect_timeout + client.read_timeout else None

    def _note(self, outcomes: _Outcomes) -> None:
        for _, outcome in outcomes:
            if isinstance(outcome, Delivered):
                self._trouble = None
            elif isinstance(outcome, (Retry, Unknown)):
                self._trouble = outcome.reason

    def _channels(self) -> list[_Channel]:
        return [self._default, *self._by_host.values()]


def _has_body(stanza: Stanza) -> bool:
    """Whether there is a ``<body/>``, though without a text."""
    if b"body" not in stanza.xml:
        return False
    element = stanza.element()
    return element.find(f"{element.tag[: element.tag.rfind('}') + 1]}body") is not None
