"""`remotectl secret`: values that jobs get by name, in their environment. None is shown again."""

from __future__ import annotations

import getpass
import sys
from typing import Any, Final

import click

from remote_client.cli.completed import completed
from remote_client.cli.options import NAME, Group, Look, list_options, output_option
from remote_client.cli.output import names, note, print_fields, print_json, text_of, when
from remote_client.cli.secret_canary import canary
from remote_client.cli.session import Session, pass_session
from remote_client.cli.stdin import read_all
from remote_client.cli.table import Column, print_list
from remote_client.errors import UsageError
from remote_client.transport import Document

_LARGEST: Final = 64 * 1024
"""Bytes of a value."""


def _scope(command: Any) -> Any:
    """The options that say whose jobs get it."""
    command = click.option("--all-queues", is_flag=True, help="Jobs of every queue get it.")(
        command
    )
    return click.option(
        "--queue",
        "queues",
        multiple=True,
        type=NAME,
        shell_complete=completed("queues"),
        help="Jobs of this queue get it; repeatable.",
    )(command)


def _asked(queues: tuple[str, ...], all_queues: bool) -> Document:
    """The scope as the API takes it; nothing when it is not said."""
    if queues and all_queues:
        raise UsageError("Give --queue or --all-queues, not both")
    if all_queues:
        return {"all_queues": True}
    return {"queues": list(queues)} if queues else {}


@click.group(cls=Group)
def secret() -> None:
    """Keep values on the server that jobs get by name: passwords, keys, tokens.

    A job asks for them (remotectl run --secret NAME), and has each as an environment variable of
    that name. Nobody can read a value back.

    \b
    Examples:
      remotectl secret set PGPASSWORD --queue berlin
      remotectl secret list
      remotectl run --queue berlin --secret PGPASSWORD -- psql -h db -c 'select 1'
    """


secret.add_command(canary)


@secret.command("set")
@click.argument("name", shell_complete=completed("secrets"))
@_scope
@click.option(
    "--from-file",
    metavar="FILE",
    help="Take the value from this file; - is standard input.",
)
@output_option
@pass_session
def set_secret(
    session: Session,
    name: str,
    queues: tuple[str, ...],
    all_queues: bool,
    from_file: str | None,
    output: str,
) -> None:
    """Make a secret, or replace its value.

    The value is asked for without showing it, or read from standard input or a file: a value in
    the arguments could be read by every user of this host. The line end after a single line is
    not a part of it; several lines stay as they are.

    Jobs of the queues named by --queue get it. Without --queue and --all-queues a new secret is for
    the default queue, and one that there is keeps its queues.

    \b
    Examples:
      remotectl secret set PGPASSWORD --queue berlin
      pass show db | remotectl secret set PGPASSWORD --queue berlin
      remotectl secret set DEPLOY_KEY --all-queues --from-file ~/.ssh/deploy
    """
    body = _asked(queues, all_queues)
    view = session.calls.put("secrets", name, {**body, "value": _value(name, from_file)})
    _done(view, output, "is set for")


@secret.command()
@click.argument("name", shell_complete=completed("secrets"))
@_scope
@output_option
@pass_session
def edit(
    session: Session, name: str, queues: tuple[str, ...], all_queues: bool, output: str
) -> None:
    """Change whose jobs get a secret; its value stays.

    \b
    Example:
      remotectl secret edit PGPASSWORD --queue berlin --queue paris
    """
    body = _asked(queues, all_queues)
    if not body:
        raise UsageError("Nothing to change: give --queue or --all-queues")
    _done(session.calls.change("secrets", name, body), output, "is for")


@secret.command("list")
@list_options
@pass_session
def list_secrets(session: Session, look: Look) -> None:
    """All secrets, without their values.

    \b
    Example:
      remotectl secret list
    """
    empty = "There are no secrets. Make one: remotectl secret set NAME --queue QUEUE"
    print_list(session.calls.every("secrets"), _COLUMNS, look, empty)


@secret.command()
@click.argument("name", shell_complete=completed("secrets"))
@output_option
@pass_session
def show(session: Session, name: str, output: str) -> None:
    """One secret, without its value.

    \b
    Example:
      remotectl secret show PGPASSWORD
    """
    _print(session.calls.one("secrets", name), output)


@secret.command()
@click.argument("name", shell_complete=completed("secrets"))
@pass_session
def delete(session: Session, name: str) -> None:
    """Remove a secret; attempts that run keep what they were given.

    \b
    Example:
      remotectl secret delete PGPASSWORD
    """
    session.calls.delete("secrets", name)
    note(f"secret {name} is deleted")


def _value(name: str, file: str | None) -> str:
    if file is None and sys.stdin is not None and sys.stdin.isatty():
        return _prompted(name)
    if file is None or file == "-":
        raw, where = read_all("--from-file", _LARGEST), "standard input"
    else:
        where = file
        try:
            with open(file, "rb") as opened:
                raw = opened.read(_LARGEST + 1)
        except OSError as error:
            raise UsageError(f"--from-file: {file} cannot be read: {error.strerror}") from None
    if len(raw) > _LARGEST:
        raise UsageError(f"{where} has more than {_LARGEST} bytes, which is the most for a secret")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise UsageError(
            f"{where} is not UTF-8, which a variable of an environment has to be; encode it, for "
            "example with base64"
        ) from None
    line = text.removesuffix("\n").removesuffix("\r")
    text = text if "\n" in line else line
    if not text:
        raise UsageError(f"{where} is empty; a secret has a value")
    return text


def _prompted(name: str) -> str:
    value = getpass.getpass(f"Value of {name}: ")
    if not value:
        raise UsageError("No value was given")
    if getpass.getpass("Once more: ") != value:
        raise UsageError("The two values differ; nothing was set")
    return value


def _queues(item: Document) -> str:
    return "(all)" if item.get("all_queues") else names(item.get("queues")) or "(none)"


def _done(view: Document, output: str, what: str) -> None:
    if output == "json":
        print_json(view)
        return
    scope = "jobs of all queues"
    if not view.get("all_queues"):
        scope = f"jobs of: {names(view.get('queues'))}"
    note(f"secret {text_of(view, 'name')} {what} {scope}")


_COLUMNS = (
    Column("NAME", lambda item: text_of(item, "name")),
    Column("QUEUES", _queues, cut=16),
    Column("UPDATED", lambda item: when(item.get("updated_at")), drop=2),
    Column("BY", lambda item: text_of(item, "updated_by"), drop=3),
    Column("CREATED", lambda item: when(item.get("created_at")), wide=True),
    Column("KEY", lambda item: text_of(item, "key_id"), wide=True),
    Column("PROBLEM", lambda item: text_of(item, "problem"), cut=16, drop=1),
)


def _print(view: Document, output: str) -> None:
    if output == "json":
        print_json(view)
        return
    print_fields(
        [
            ("Secret", text_of(view, "name")),
            ("Queues", _queues(view)),
            ("Problem", text_of(view, "problem")),
            ("Key", text_of(view, "key_id")),
            ("Updated", when(view.get("updated_at"))),
            ("By", text_of(view, "updated_by")),
            ("Created", when(view.get("created_at"))),
            ("By", text_of(view, "created_by")),
        ]
    )
