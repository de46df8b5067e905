"""The process around `App`: logging, signals, the admin's listener, systemd, and an end that nothing can hold up."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import threading
from queue import SimpleQueue
from types import FrameType
from typing import NoReturn

from event_pusher import log as logs
from event_pusher.admin.http import AdminServer
from event_pusher.admin.live import LiveDesk
from event_pusher.admin.routes import Routes
from event_pusher.app import App
from event_pusher.errors import EventPusherError, SettingsError
from event_pusher.reload import reload
from event_pusher.settings import Settings

log = logging.getLogger(__name__)

_STOPS = (signal.SIGTERM, signal.SIGINT)


#: Containers that are made, less those that died, until the collector looks at the young ones.
GC_ALLOCATIONS = 300_000


def run(settings: Settings, *, debug: bool = False) -> NoReturn:
    """Run `settings` until a signal; ends the process: 0 after a clean stop, 1 otherwise."""
    logs.set_up("debug" if debug else settings.log.level, settings.log.format)
    app = App(settings)
    admin = AdminServer(settings.admin.listen, Routes(LiveDesk(app)))
    _Signals(app, "debug" if debug else None).install()
    code = 1
    try:
        code = _serve(app, admin)
    except EventPusherError as error:
        _report(error, settings, debug=debug)
    except BaseException:
        log.exception("event-pusher failed")
    _end(admin, code)


def _serve(app: App, admin: AdminServer) -> int:
    asked = True
    try:
        admin.start()
        if app.start():
            _calm_collector()
            notify("READY=1")
            asked = app.wait()
    finally:
        notify("STOPPING=1")
        app.close()
    return 0 if asked else 1


def _calm_collector() -> None:
    """
    Let the cycle collector leave alone what lives as long as the process, and look for cycles seldom.

    What a notification is made of has no cycles and dies by reference count; with the defaults, a tenth and more of the
    time went into looking through it again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS, 20, 20)


def _report(error: EventPusherError, settings: Settings, *, debug: bool) -> None:
    """One line for each fault: like every command's, or a record where a machine reads the log."""
    for line in error.faults if isinstance(error, SettingsError) else [str(error)]:
        if settings.log.format == "json":
            log.error("%s", line)
        else:
            sys.stderr.write(f"event-pusher: {line}\n")
    if debug:
        log.error("", exc_info=error)


def _end(admin: AdminServer, code: int) -> NoReturn:
    admin.close()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # A worker that hangs in a stranger's code must not keep the process.
    os._exit(code)


def notify(state: str) -> None:
    """Tell systemd, if it wants to know (sd_notify)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.sendto(state.encode(), address)
    except OSError as error:
        log.warning("systemd could not be told %s: %s", state, error.strerror)


class _Signals:
    """
    SIGTERM and SIGINT stop cleanly, the second one at once; SIGHUP takes over what it can (`event_pusher.reload`).

    A handler runs in the middle of whatever the main thread does, so all it does is put a number into a queue.
    """

    def __init__(self, app: App, level: str | None = None) -> None:
        self._app = app
        self._level = level
        self._came: SimpleQueue[int] = SimpleQueue()
        self._stops = 0

    def install(self) -> None:
        for number in (*_STOPS, signal.SIGHUP):
            signal.signal(number, self._handle)
        threading.Thread(target=self._work, name="signals", daemon=True).start()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number in _STOPS:
            self._stops += 1
            if self._stops > 1:
                os._exit(1)
        self._came.put(number)

    def _work(self) -> None:
        while True:
            number = self._came.get()
            if number in _STOPS:
                log.info("%s: stopping; once more stops at once", signal.Signals(number).name)
                self._app.stop()
            else:
                self._reload()

    def _reload(self) -> None:
        try:
            reload(self._app, self._level)
        except Exception as error:  # noqa: BLE001 - the thread must live: SIGTERM comes the same way
            log.error("SIGHUP: %s; look at what `status` says", type(error).__name__)  # noqa: TRY400 - one line
