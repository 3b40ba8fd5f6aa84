"""The group of all commands, and how their errors are said: one sentence, an exit code."""

from __future__ import annotations

import sys

import click

import remote_server
from remote_server.cli.dev import dev
from remote_server.cli.run import run
from remote_server.cli.token import token
from remote_server.cli.upkeep import backup, check, migrate
from remote_server.errors import ServerError
from remote_server.logging_setup import redact


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  remote-server dev
  remote-server run --listen 0.0.0.0:8750 --tls-cert cert.pem --tls-key key.pem
  remote-server token create --role operator --name ci --expires 90d
""",
)
@click.version_option(remote_server.__version__, "-V", "--version", prog_name="remote-server")
def commands() -> None:
    """Keep jobs, hand them to remote agents, store their logs."""


@commands.command(epilog="Example: remote-server version")
def version() -> None:
    """Print the version."""
    click.echo(f"remote-server {remote_server.__version__}")


for command in (run, dev, token, migrate, check, backup, version):
    commands.add_command(command)


def main() -> None:
    """Run the command line and exit."""
    try:
        commands(prog_name="remote-server")
    except ServerError as error:
        for line in str(error).splitlines():
            print(f"remote-server: {redact(line)}", file=sys.stderr)
        sys.exit(error.exit_code)
