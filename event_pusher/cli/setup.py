"""``event-pusher setup ejabberd|prosody --domain D --component C [--output DIR|-]``."""

from __future__ import annotations

from pathlib import Path

import click

from event_pusher.cli.frame import Command
from event_pusher.setup import CONFIG_FILE, FRAGMENTS, PLACEHOLDER, SECRET_FILE, Kit


@click.command("setup", cls=Command)
@click.argument("server", type=click.Choice(sorted(FRAGMENTS)))
@click.option("--domain", required=True, help="The XMPP domain whose accounts get pushes: example.org.")
@click.option("--component", required=True, help="The component's domain: push.example.org.")
@click.option("--output", metavar="DIR|-", help="Where to write; - prints. Default: event-pusher-SERVER.")
@click.option(
    "--server", "address", default="127.0.0.1:5347", show_default=True, metavar="HOST:PORT",
    help="Where the server takes components.",
)  # fmt: skip
def command(server: str, domain: str, component: str, output: str | None, address: str) -> None:
    """Write the server's module, its configuration and ours; changes nothing else."""
    kit = Kit(server, domain, component, address)
    if output == "-":
        _print(kit)
        return
    folder = Path(output or f"event-pusher-{server}").absolute()
    written = kit.write(folder)
    click.echo(f"{folder}: {', '.join(written)}\n")
    click.echo(kit.steps(folder), nl=False)
    config = folder / CONFIG_FILE
    if CONFIG_FILE not in written and not kit.is_in(config):
        click.echo(f"\n{config} was there and stays as it is. Put this into it:\n")
        click.echo(kit.section(folder / SECRET_FILE), nl=False)


def _print(kit: Kit) -> None:
    click.echo(kit.fragment(), nl=False)
    click.echo(f"\n# --- {CONFIG_FILE} {'-' * 50}\n")
    click.echo(kit.section(), nl=False)
    click.echo(
        f"\n{PLACEHOLDER} stands for a secret of your own, the same in both: put it into the file {SECRET_FILE}.\n"
        "With --output DIR the secret and the server's module are written, too.",
        err=True,
    )
