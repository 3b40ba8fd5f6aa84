"""`remotectl help`: the same as --help."""

from __future__ import annotations

import click

from remote_client.cli.options import Command
from remote_client.cli.output import say
from remote_client.errors import UsageError


@click.command("help", cls=Command)
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def help_command(context: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of a command.

    \b
    Examples:
      remotectl help
      remotectl help job list
    """
    place = context.find_root()
    for word in words:
        command = place.command
        found = command.get_command(place, word) if isinstance(command, click.Group) else None
        if found is None:
            raise UsageError(f"There is no command {word!r} of {place.command_path}")
        place = click.Context(found, place, word)
    say(place.get_help())
