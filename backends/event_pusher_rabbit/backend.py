"""The rabbit backend: decides with the settings of the event's host, publishes on a thread of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from event_pusher.abc import Acc, Attempt, Backend, BackendTools, Delivery, Event, Report
from event_pusher.errors import SettingsError
from event_pusher_rabbit.connection import RabbitConnection
from event_pusher_rabbit.settings import Exchange, RabbitSettings
from event_pusher_rabbit.wire import message_of, pack, why_not

#: What a host may say for itself; the connection is one for all.
_OF_A_HOST = frozenset({"presence_exchange", "chat_msg_exchange", "groupchat_msg_exchange"})


class RabbitBackend(Backend[RabbitSettings]):
    """Presence and messages of chats and rooms become messages at RabbitMQ's exchanges, as with MongooseIM."""

    max_batch = 500
    Settings = RabbitSettings

    def __init__(self, settings: RabbitSettings, tools: BackendTools) -> None:
        super().__init__(settings, tools)
        self._by_host: dict[str, RabbitSettings] = dict(tools.host_settings)
        exchanges = _all_exchanges(tools.name, settings, self._by_host)
        self._connection = RabbitConnection(settings, exchanges, tools.clock, tools.log)

    def push_event(self, acc: Acc, event: Event) -> Iterable[Delivery]:
        message = message_of(self._by_host.get(acc.host, self.settings), acc, event)
        if message is None:
            acc.skip(why_not(event))
            return
        yield Delivery(recipient=str(event.user), target=message.exchange, payload=pack(message))

    def publish_many(self, attempts: Sequence[Attempt], report: Report) -> None:
        """Hand them to the connection's thread; their confirms are reported as they come."""
        self._connection.submit(attempts, report)

    def start(self) -> None:
        self._connection.start()

    def close(self, timeout: float) -> None:
        self._connection.close(timeout)

    def ready(self) -> bool:
        return self._connection.ready()

    def health(self) -> str | None:
        return self._connection.health()


def _all_exchanges(name: str, settings: RabbitSettings, by_host: dict[str, RabbitSettings]) -> tuple[Exchange, ...]:
    """Every exchange that some host publishes to. Raises `SettingsError`."""
    known = {one.name: one for one in settings.exchanges()}
    faults: list[str] = []
    for host, special in by_host.items():
        differing = {key for key in type(special).model_fields if getattr(special, key) != getattr(settings, key)}
        at = f'[hosts."{host}".backends.{name}]'
        faults += [
            f"{at}: {key} is the same for all hosts; give the host a backend of its own"
            for key in sorted(differing - _OF_A_HOST)
        ]
        for one in special.exchanges():
            other = known.setdefault(one.name, one)
            if one.model_dump(include=_SAME) != other.model_dump(include=_SAME):
                faults.append(f'{at}: the exchange "{one.name}" is there twice with other options')
    if faults:
        raise SettingsError(faults)
    return tuple(known.values())


_SAME = {"type", "durable", "mandatory"}
