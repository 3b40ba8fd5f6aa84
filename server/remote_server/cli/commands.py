"""The group of all commands, and how their errors are said: one sentence, an exit code."""

from __future__ import annotations

import sys
from typing import Final

import click

import remote_server
from remote_server.cli.dev import dev
from remote_server.cli.run import run
from remote_server.cli.secret import secret
from remote_server.cli.streams import drop_output, fill_closed_streams
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


@commands.command(epilog="\b\nExample:\n  remote-server version")
def version() -> None:
    """Print the version."""
    click.echo(f"remote-server {remote_server.__version__}")


for command in (run, dev, token, secret, migrate, check, backup, version):
    commands.add_command(command)


_SERVICES: Final = {"run", "dev"}
"""They work without standard output."""


def main() -> None:
    """Run the command line and exit."""
    closed = fill_closed_streams()
    if 1 in closed and not _SERVICES & set(sys.argv[1:]):
        print("remote-server: standard output is closed; nothing can be printed", file=sys.stderr)
        sys.exit(1)
    try:
        commands(prog_name="remote-server")
    except ServerError as error:
        for line in str(error).splitlines():
            print(f"remote-server: {redact(line)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        # What a full disk behind standard output, for example, leaves to say.
        if not error.filename:
            drop_output()
        where = f"{error.filename}: " if error.filename else "the output cannot be written: "
        print(f"remote-server: {where}{error.strerror or error}", file=sys.stderr)
        sys.exit(1)
