"""The way back into the right XMPP server, where there is more than one source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from event_pusher.abc import Attempt, IqAnswer, IqRequest, StanzaSender

Answer = Callable[[Sequence[tuple[Attempt, IqAnswer]]], None]


class StanzaRouter:
    """A `StanzaSender` that hands each request to the source which serves its host."""

    def __init__(self, senders: Mapping[str, StanzaSender]) -> None:
        self._senders = dict(senders)

    def ready(self) -> bool:
        """Whether any of the servers takes requests; those for another one come back unsent."""
        return any(sender.ready() for sender in self._senders.values())

    def request(self, requests: Sequence[IqRequest], timeout: float, answer: Answer) -> None:
        """See `StanzaSender.request`."""
        by_sender: dict[int, tuple[StanzaSender, list[IqRequest]]] = {}
        nowhere: list[tuple[Attempt, IqAnswer]] = []
        for request in requests:
            sender = self._senders.get(request.host)
            if sender is None:
                nowhere.append((request.token, IqAnswer("unsent", text=f"no source serves {request.host}")))
            else:
                by_sender.setdefault(id(sender), (sender, []))[1].append(request)
        if nowhere:
            answer(nowhere)
        for sender, part in by_sender.values():
            sender.request(part, timeout, answer)
