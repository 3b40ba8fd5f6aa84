"""The root of `remotectl`: global options, errors as sentences, and the commands below it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from remote_client import __version__
from remote_client.cli.agents import agent
from remote_client.cli.jobs import job
from remote_client.cli.login import login, logout
from remote_client.cli.output import drop_stdout, printable
from remote_client.cli.queues import queue
from remote_client.cli.run import run
from remote_client.cli.session import Session
from remote_client.cli.tokens import registration_token, token
from remote_client.errors import ClientError, UsageError, faults

_EPILOG = """\b
Examples:
  export REMOTE_URL=http://127.0.0.1:8750 REMOTE_TOKEN=rpt_…
  remotectl run -- make test
  remotectl run --queue berlin --timeout 10m --shell bash -- 'df -h | tail -3'
  remotectl job list --state running
  remotectl job logs -f 01JD
  remotectl agent pause web-7 --comment 'disk replacement'
"""


class _Root(click.Group):
    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except BrokenPipeError:
            # The reader has gone (`| head`): it has all it wants. click would end with 1.
            drop_stdout()
            return 0


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.option(
    "--url", envvar="REMOTE_URL", help="The server, e.g. https://host:8750. [env: REMOTE_URL]"
)
@click.option(
    "--token-file",
    envvar="REMOTE_TOKEN_FILE",
    type=click.Path(path_type=Path),
    help="File with an API token; the text itself: REMOTE_TOKEN. [env: REMOTE_TOKEN_FILE]",
)
@click.option(
    "--ca-file",
    envvar="REMOTE_CA_FILE",
    help="Certificates of a private CA (PEM). [env: REMOTE_CA_FILE]",
)
@click.version_option(__version__, prog_name="remotectl")
@click.pass_context
def root(
    context: click.Context, url: str | None, token_file: Path | None, ca_file: str | None
) -> None:
    """Run jobs on remote agents, and look after jobs, agents, queues and tokens."""
    context.obj = Session(url, token_file, ca_file)
    context.call_on_close(context.obj.close)


for _command in (run, job, agent, queue, token, registration_token, login, logout):
    root.add_command(_command)


def main(arguments: list[str] | None = None) -> None:
    """Run `remotectl`; always ends by SystemExit with an exit code of the contract."""
    try:
        code = root.main(arguments, prog_name="remotectl", standalone_mode=False)
    except click.exceptions.Abort as abort:
        # Without a cause a question was answered with no, or nobody was there to answer it.
        code = 130 if isinstance(abort.__cause__, KeyboardInterrupt) else ClientError.exit_code
        click.echo("remotectl: aborted", err=True)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except ClientError as error:
        click.echo(printable(f"remotectl: {error}"), err=True)
        code = UsageError.exit_code if isinstance(error, UsageError) else error.exit_code
    except ValidationError as error:
        click.echo(printable(f"remotectl: {'; '.join(faults(error))}"), err=True)
        code = UsageError.exit_code
    except OSError as error:  # a full disk behind stdout, a login that cannot be kept
        click.echo(printable(f"remotectl: {error}"), err=True)
        code = ClientError.exit_code
    sys.exit(code if isinstance(code, int) else 0)
