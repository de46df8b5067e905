"""The table of commands. A command's module is imported when it is called, never for ``--help``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click

from event_pusher import __version__
from event_pusher.cli.frame import Root

#: Name → the module in this package that has a command of that name, and what ``--help`` says of it.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "quickstart": ("quickstart", "Watch notifications go the whole way; needs nothing else."),
    "init": ("init", "Write a commented configuration."),
    "setup": ("setup", "Write the XMPP server's module and configuration."),
    "check": ("check", "Say what is wrong, and the cure."),
    "run": ("run", "Run until SIGTERM."),
    "status": ("status", "What is happening."),
    "tail": ("tail", "Follow decisions and outcomes as they come."),
    "explain": ("explain", "Why an account gets pushes, or why not."),
    "trace": ("trace", "What became of one stanza or delivery."),
    "db": ("db", "Create and upgrade the tables."),
    "plugins": ("plugins", "Every source, backend and plugin that is installed."),
    "new": ("new", "Write a backend or a push plugin of your own."),
    "registrations": ("registrations", "Who enabled push notifications where."),
    "deliveries": ("deliveries", "What waits, and dead letters."),
}


class LazyRoot(Root):
    """Looks commands up in `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name, in the order of a newcomer's day."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"event_pusher.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List them without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Show the help when nothing is asked."""
        return super().parse_args(ctx, args or ["--help"])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            # Here and not at the top: only who mistyped waits for it.
            import difflib  # noqa: PLC0415 - as said above

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f'; did you mean "{close[0]}"?' if close else ""
            raise click.UsageError(f'there is no command "{args[0]}"{hint}', ctx)
        return super().resolve_command(ctx, args)


main = LazyRoot(
    name="event-pusher",
    help="Fans XMPP stanza events out to push (XEP-0357) and other backends, and loses none of them.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
click.version_option(__version__, prog_name="event-pusher", message="%(prog)s %(version)s")(main)
