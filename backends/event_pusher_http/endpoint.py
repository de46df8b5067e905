"""One handler at work: its plugins, its connections, its share of the workers."""

from __future__ import annotations

import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from event_pusher.abc import Acc, Attempt, BackendTools, Delivery, Event
from event_pusher.errors import DestinationGone, NothingSent, PublishError, TemporaryPublishError
from event_pusher_http.client import Client
from event_pusher_http.gone import Stopped
from event_pusher_http.guard import networks
from event_pusher_http.plugin import HttpPlugin
from event_pusher_http.settings import MARGIN, HandlerSettings
from event_pusher_http.watch import Flight, Watch
from event_pusher_http.wire import Letter, checked_name, checked_value, judge

#: A worker waits so long for its turn at a handler that answers.
TURN_SECONDS = 0.1
#: So many failures in a row are told by `Endpoint.trouble`.
TROUBLE = 3


class Endpoint:
    """Decides, writes and sends what belongs to one handler. Raises `ValueError` when the handler cannot work."""

    def __init__(
        self,
        settings: HandlerSettings,
        host: str,
        plugins: Sequence[HttpPlugin[Any]],
        tools: BackendTools,
        stopped: Stopped,
        watch: Watch,
    ) -> None:
        self.settings = settings
        self.key = settings.key
        self.trouble: str | None = None
        self._target = settings.target
        self._login = None if settings.login is None else _basic(*settings.login)
        self.host = host
        self._plugin = plugins[0]
        self._tools = tools
        self._stopped = stopped
        self._watch = watch
        self._allowed = networks(settings.allow_networks) if settings.untrusted else None
        self._turns = _Turns(settings.concurrency)
        self._failures = 0
        self._plugin.check(settings)
        self._client = Client(settings)

    def decide(self, acc: Acc, event: Event) -> Delivery | None:
        """Make the delivery of one event; without one, ``acc.skipped`` says why."""
        if event.kind not in self.settings.events:
            acc.skip("kind")
            return None
        user = str(event.user)
        if (self.key, user, event.kind) in self._stopped:
            acc.skip("gone")
            return None
        request = self._plugin.prepare_request(acc, event, self.settings)
        if request is None:
            acc.skip(acc.skipped or "plugin")
            return None
        payload = Letter(self.key, self.host, event.kind, request.headers, request.body).pack()
        return Delivery(recipient=user, target=self._target, payload=payload, lane=f"{user}\n{self.key}")

    def send(self, attempt: Attempt, letter: Letter) -> None:
        """Send one request. Raises `PublishError` unless the answer was a success."""
        stream = (self.key, attempt.delivery.recipient, letter.kind)
        if stream in self._stopped:
            raise DestinationGone("HTTP 410 Gone, as it answered to an earlier one")
        with self._turns.one():
            try:
                self._exchange(attempt, letter)
            except DestinationGone:
                self._stop(stream)
                raise
            except PublishError as error:
                self._failed(error)
                raise
        self._failures, self.trouble = 0, None

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _exchange(self, attempt: Attempt, letter: Letter) -> None:
        left = attempt.deadline - self._tools.clock.monotonic() - MARGIN / 2
        if left <= 0:
            raise NothingSent("no time was left to wait for an answer")
        headers = self._headers(attempt, letter)
        most = self.settings.connect_timeout + self.settings.read_timeout
        flight = Flight(time.monotonic() + min(left, most), self._allowed)
        with self._watch.over(flight):
            answer = self._client.send(flight, headers, letter.body)
        error = judge(answer.status, answer.retry_after, self._tools.clock.now())
        if error is not None:
            raise error

    def _headers(self, attempt: Attempt, letter: Letter) -> dict[str, str]:
        """Those that were stored, the operator's over them, and those of this attempt over all."""
        headers = {"user-agent": "event-pusher", **letter.headers}
        if self._login is not None:
            headers["authorization"] = self._login
        try:
            for name, secret in self.settings.headers.items():
                headers[name.lower()] = checked_value(name, secret.reveal())
        except ValueError as error:  # its text was written for people, and quotes nothing
            raise TemporaryPublishError(str(error)) from None
        now = self._tools.clock.now()
        for name, value in self._plugin.attempt_headers(attempt.key, now, letter.body, self.settings).items():
            headers[checked_name(name)] = checked_value(name, value)
        return headers

    def _stop(self, stream: tuple[str, str, str]) -> None:
        _, recipient, kind = stream
        if self._stopped.add(stream, self.settings.gone_for):
            self._tools.log.warning(
                "%s answered 410 Gone: %s events of %s are not sent there any more for %g h, or until a restart",
                self._target, kind, recipient, self.settings.gone_for / 3600,
            )  # fmt: skip

    def _failed(self, error: PublishError) -> None:
        self._failures += 1
        if self._failures >= TROUBLE:
            self.trouble = f"{self._target}: {self._failures} failures in a row, the last one: {error}"


def _basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


class _Turns:
    """
    At most `most` requests of a handler at once.

    Whoever finds no turn waits a moment, for they come quickly while the handler answers. When none came, the next
    ones wait no more until one does: a handler that hangs keeps no more workers than its own.
    """

    def __init__(self, most: int) -> None:
        self._free = threading.Semaphore(most)
        self._stuck = False

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take a turn. Raises `NothingSent` when there is none."""
        if not self._free.acquire(timeout=0 if self._stuck else TURN_SECONDS):
            self._stuck = True
            raise NothingSent("as many requests as the handler's concurrency are under way")
        try:
            yield
        finally:
            self._stuck = False
            self._free.release()
