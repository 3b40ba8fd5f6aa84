"""`remotectl toy`."""

from __future__ import annotations

import click

from remote_client.cli.options import Command
from remote_client.cli.output import say
from remote_client.cli.session import Session, pass_session


@click.command(cls=Command)
@click.argument("greeting")
@pass_session
def toy(session: Session, greeting: str) -> None:
    """Greet from an agent."""
    say(session.calls.submit({"kind": "toy", "greeting": greeting})["id"])
