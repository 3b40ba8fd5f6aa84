"""The root of `remotectl`: commands loaded when they are called, errors as sentences."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import click

from remote_client import __version__
from remote_client.cli.hints import hint_for_error
from remote_client.cli.options import Group, global_options
from remote_client.cli.output import drop_stdout, note
from remote_client.cli.session import Session
from remote_client.errors import ApiError, ClientError, UsageError
from remote_protocol import extensions
from remote_protocol.printable import printable

COMMANDS: Final = {
    "run": ("run", "run", "Run COMMAND on an agent and stream what it prints."),
    "job": ("jobs", "job", "List jobs, show them, read their logs, cancel, retry, wait."),
    "group": ("groups", "group", "List groups of jobs, show them, cancel them, wait for them."),
    "agent": (
        "agents",
        "agent",
        "List agents, show, pause, drain, restart, change and remove them.",
    ),
    "queue": ("queues", "queue", "List queues, show, create, edit, pause and delete them."),
    "token": ("tokens", "token", "API tokens for people and programs, and of single agents."),
    "registration-token": ("tokens", "registration_token", "Tokens with which agents enrol."),
    "secret": (
        "secrets",
        "secret",
        "Keep values on the server that jobs get by name: passwords, keys, tokens.",
    ),
    "webhook": (
        "webhooks",
        "webhook",
        "Tell other programs by HTTP when jobs end, and when agents go or come.",
    ),
    "audit": ("audit", "audit", "The newest entries of the audit; for admins."),
    "login": (
        "login",
        "login",
        "Log in by the browser or with a token, and keep it.",
    ),
    "logout": ("login", "logout", "Forget the current login, or the one that --context names."),
    "context": ("contexts", "context", "List logins, show them, choose and delete them."),
    "whoami": (
        "login",
        "whoami",
        "Your name and role at the server, and how long the token is valid.",
    ),
    "doctor": (
        "doctor",
        "doctor",
        "Look for what keeps remotectl from its server, and name the cure.",
    ),
    "completion": (
        "completion",
        "completion",
        "Print a script that lets a shell complete commands, options, names and ids.",
    ),
    "version": ("completion", "version", "Print the version."),
    "help": ("help", "help_command", "Show the help of a command."),
}
"""Each command: the module below `remote_client.cli` that has it, its name there, what it does."""
_EPILOG = """\b
Examples:
  export REMOTE_URL=http://127.0.0.1:8750 REMOTE_TOKEN=rpt_…
  remotectl run -- uname -a
  remotectl run --queue berlin --timeout 10m --shell bash -- 'df -h | tail -3'
  remotectl job list --state running
  remotectl job logs -f @last
  remotectl agent pause web-7 --comment 'disk replacement'
"""


class Root(Group):
    """Finds commands without loading those that are not called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, as the help shows them."""
        return [*COMMANDS, *_of_extensions()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command, loaded now."""
        if cmd_name not in COMMANDS:
            return _of_extension(cmd_name)
        module, name, _ = COMMANDS[cmd_name]
        command = getattr(import_module(f"remote_client.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, _, words) in COMMANDS.items()])
        if added := list(_of_extensions().items()):
            with formatter.section("Commands of extensions"):
                formatter.write_dl(added)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The reader has gone (`| head`): it has all it wants. click would end with 1.
            drop_stdout()
            return 0


def _of_extensions() -> dict[str, str]:
    """The commands that extensions add, with what they do."""
    found: dict[str, str] = {}
    for name in sorted(extensions.names() - COMMANDS.keys()):
        try:
            extension = extensions.find(name)
        except extensions.BrokenExtension as error:
            found[name] = str(error)
        else:
            if extension is not None and extension.command is not None:
                found[name] = extension.summary
    return found


def _of_extension(name: str) -> click.Command | None:
    """The command of an extension. ClientError when it is broken."""
    try:
        extension = extensions.find(name)
        if extension is None or extension.command is None:
            return None
        command = extensions.part(name, extension.command)
    except extensions.BrokenExtension as error:
        raise ClientError(str(error)) from error
    assert isinstance(command, click.Command)
    return command


@click.group(
    cls=Root,
    context_settings={
        "help_option_names": ["-h", "--help"],
        # Every option of a command has a variable, as REMOTE_RUN_TIMEOUT for `run --timeout`.
        "auto_envvar_prefix": "REMOTE",
    },
    epilog=_EPILOG,
)
@click.version_option(__version__, "-V", "--version", prog_name="remotectl")
@click.pass_context
def root(context: click.Context) -> None:
    """Run jobs on remote agents, and look after jobs, agents, queues and tokens."""
    context.call_on_close(context.ensure_object(Session).close)


root._global = global_options(environment=True)


def main(arguments: list[str] | None = None) -> None:
    """Run `remotectl`; always ends by SystemExit with an exit code of the contract."""
    session = Session()
    words = sys.argv[1:] if arguments is None else arguments
    try:
        _check_text(words)
        code = root.main(words, prog_name="remotectl", standalone_mode=False, obj=session)
    except click.exceptions.Abort as abort:
        # Without a cause a question was answered with no, or nobody was there to answer it.
        interrupted = isinstance(abort.__cause__, KeyboardInterrupt)
        code = 130 if interrupted else ClientError.exit_code
        note("aborted")
    except click.ClickException as error:
        _show(error)
        code = error.exit_code
    except ClientError as error:
        note(_sentence(error))
        code = UsageError.exit_code if _is_usage(error) else session.failed
    except OSError as error:  # a full disk behind stdout, a login that cannot be kept
        if not error.filename:
            drop_stdout()
        note(f"{error.filename or 'standard output'}: {error.strerror or error}")
        code = session.failed
    sys.exit(code if isinstance(code, int) else 0)


def _is_usage(error: ClientError) -> bool:
    return isinstance(error, UsageError) or (
        isinstance(error, ApiError) and error.code == "validation"
    )


def _sentence(error: ClientError) -> str:
    """What went wrong; the faults of an argument under the names that it has here."""
    if isinstance(error, ApiError) and error.code == "validation" and error.faults:
        return "; ".join(
            f"--{field.split('.')[0].replace('_', '-')}: {words}" for field, words in error.faults
        )
    hint = hint_for_error(error) if isinstance(error, ApiError) else ""
    return f"{str(error).rstrip('.')}; {hint}" if hint else str(error)


def _check_text(words: Sequence[str]) -> None:
    """Refuse what the API cannot carry. Python shows such bytes as lone surrogates (PEP 383)."""
    for number, word in enumerate(words, 1):
        if any("\ud800" <= character <= "\udfff" for character in word):
            raise UsageError(
                f"Argument {number} is not UTF-8: {word!a}. Jobs are described by text; send "
                "such bytes in a --file, or set LC_ALL=C.UTF-8 if your terminal uses UTF-8"
            )


def _show(error: click.ClickException) -> None:
    """Its usage and what is wrong with it; both may hold what was typed."""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(printable(error.ctx.get_usage()), err=True)
        click.echo(f"Try '{error.ctx.command_path} --help' for help.\n", err=True)
    click.echo(f"Error: {printable(error.format_message())}", err=True)
