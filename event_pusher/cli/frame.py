"""What all commands share. Imports nothing heavy: ``event-pusher --help`` answers at once."""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import click

from event_pusher.errors import EventPusherError, SettingsError

FAILURE, USAGE, INTERRUPTED = 1, 2, 130


@dataclass
class Frame:
    """What was said on the command line for every command; it may stand before or behind the command's name."""

    config: str | None = None
    debug: bool = False


class CommandError(EventPusherError):
    """A command found out what is wrong; its text is one line and ends with the cure."""


pass_frame = click.make_pass_decorator(Frame, ensure=True)


def _set(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value:
        setattr(context.find_root().ensure_object(Frame), str(parameter.name), value)


def _common() -> list[click.Parameter]:
    return [
        click.Option(
            ["-c", "--config"], metavar="FILE", expose_value=False, callback=_set,
            help="The configuration; else $EVENT_PUSHER_CONFIG, ./event-pusher.toml, the one in /etc/event-pusher.",
        ),
        click.Option(["--debug"], is_flag=True, expose_value=False, callback=_set, help="Show tracebacks."),
    ]  # fmt: skip


class Command(click.Command):
    """A command that takes the common options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _common()


class Group(click.Group):
    """A group whose commands take the common options, and so does it."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _common()


class Root(Group):
    """The outermost group: every error becomes one line, every end an exit code."""

    def main(  # type: ignore[override]  # click's overloads tell how `standalone_mode` ends; here it is one way
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run; ends the process."""
        frame = Frame()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A name that the terminal cannot show must not end the command.
                stream.reconfigure(errors="backslashreplace")
        extra.update(standalone_mode=False, obj=frame)
        try:
            code = super().main(args, prog_name or "event-pusher", **extra)
            sys.stdout.flush()
        except (KeyboardInterrupt, click.Abort):
            sys.exit(INTERRUPTED)
        except Exception as error:  # noqa: BLE001 - the last line of defence: whatever it is, it ends as one line
            sys.exit(_report(error, debug=frame.debug))
        sys.exit(code if isinstance(code, int) else 0)


def _report(error: Exception, *, debug: bool) -> int:
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        # Whoever read us has gone; what is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    if debug and not isinstance(error, click.UsageError):
        traceback.print_exception(error)
    match error:
        case click.UsageError():
            _say(_usage(error))
            return USAGE
        case SettingsError():
            for fault in error.faults:
                _say(fault)
        case click.ClickException():
            _say(error.format_message())
        case EventPusherError():
            _say(str(error))
        case OSError():
            _say(f"{error.filename or 'the system'}: {error.strerror or type(error).__name__}; look at path and rights")
        case _:
            text = " ".join(str(error).split())[:200]
            _say(f"unexpected {type(error).__name__}: {text}; run it again with --debug, and report what it says")
    return FAILURE


def _usage(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx is not None else "event-pusher"
    return f"{error.format_message().rstrip('.')}; `{path} --help` says what there is"


def _say(text: str) -> None:
    click.echo(f"event-pusher: {' '.join(text.splitlines())}", err=True)
