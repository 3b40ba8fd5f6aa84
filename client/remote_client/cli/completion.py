"""`remotectl completion` and `remotectl version`: what shells and scripts ask for."""

from __future__ import annotations

import click

from remote_client import __version__
from remote_client.cli.options import Command
from remote_client.cli.output import say


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that lets a shell complete commands, options, names and ids.

    \b
    Examples:
      source <(remotectl completion bash)                  # in ~/.bashrc, bash 4.4 or newer
      source <(remotectl completion zsh)                   # in ~/.zshrc, after compinit
      remotectl completion fish > ~/.config/fish/completions/remotectl.fish
    """
    from click.shell_completion import ShellComplete, get_completion_class

    from remote_client.cli.main import root

    made = get_completion_class(shell)
    assert made is not None
    # Not BashComplete's own source(): it starts a bash, to look at the version of that one.
    maker = made(root, {}, "remotectl", "_REMOTECTL_COMPLETE")
    say(ShellComplete.source(maker).rstrip())


@click.command(cls=Command)
def version() -> None:
    """Print the version.

    \b
    Example:
      remotectl version
    """
    say(f"remotectl, version {__version__}")
