"""Which request means what: ``POST /commands/NAME``, ``/metrics``, ``/healthz``, ``/readyz``."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import Any

from event_pusher.admin.desk import NotPossibleError
from event_pusher.admin.http import Answer, error_answer, json_answer
from event_pusher.admin.live import GLANCE_SECONDS, LiveDesk
from event_pusher.admin.metrics import exposition
from event_pusher.errors import EventPusherError

log = logging.getLogger(__name__)

_COMMANDS = "/commands/"


class Routes:
    """Answers requests from `desk`."""

    def __init__(self, desk: LiveDesk) -> None:
        self._desk = desk

    def __call__(self, method: str, path: str, body: bytes) -> Answer:
        """Answer one request; never raises."""
        try:
            return self._answer(method, path.partition("?")[0], body)
        except EventPusherError as error:
            return error_answer(HTTPStatus.CONFLICT, str(error))
        except Exception as error:
            log.exception("%s %s failed", method, path)
            text = f"{type(error).__name__} in the running process; look at its log"
            return error_answer(HTTPStatus.INTERNAL_SERVER_ERROR, text)

    def _answer(self, method: str, path: str, body: bytes) -> Answer:
        is_command = path.startswith(_COMMANDS)
        if method != ("POST" if is_command else "GET"):
            return error_answer(HTTPStatus.METHOD_NOT_ALLOWED, "commands are POSTed, all else is read with GET")
        if is_command:
            return self._command(path.removeprefix(_COMMANDS), body)
        match path:
            case "/metrics":
                return Answer(HTTPStatus.OK, *exposition(self._desk.app, self._unaccounted()))
            case "/healthz":
                return self._alive()
            case "/readyz":
                troubles = self._desk.app.health()
                status = HTTPStatus.SERVICE_UNAVAILABLE if troubles else HTTPStatus.OK
                return json_answer({"ready": not troubles, "troubles": troubles}, status)
        return error_answer(HTTPStatus.NOT_FOUND, "there are /metrics, /healthz, /readyz and /commands/NAME")

    def _unaccounted(self) -> int | None:
        if self._desk.app.assembly is None:
            return None
        try:
            return self._desk.on_core(self._desk.core.unaccounted, GLANCE_SECONDS)
        except NotPossibleError:
            return None

    def _alive(self) -> Answer:
        if self._desk.app.assembly is not None:
            try:
                self._desk.on_core(lambda: None, GLANCE_SECONDS)
            except NotPossibleError as error:
                return json_answer({"alive": False, "why": str(error)}, HTTPStatus.SERVICE_UNAVAILABLE)
        return json_answer({"alive": True})

    def _command(self, name: str, body: bytes) -> Answer:
        try:
            arguments: Any = json.loads(body or b"{}")
        except ValueError:
            return error_answer(HTTPStatus.BAD_REQUEST, "the arguments are no JSON")
        if not isinstance(arguments, dict):
            return error_answer(HTTPStatus.BAD_REQUEST, "the arguments must be a JSON object")
        return json_answer(self._desk.call(name, **arguments))
