"""`remotectl token` and `remotectl registration-token`: make, list and revoke tokens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from remote_client.cli.completed import completed
from remote_client.cli.options import (
    DURATION,
    NAME,
    Group,
    Look,
    list_options,
    output_option,
    secret_file,
)
from remote_client.cli.output import (
    age,
    moment,
    names,
    note,
    place_for_secret,
    print_json,
    text_of,
    when,
)
from remote_client.cli.session import Session, pass_session
from remote_client.cli.table import Column, print_list
from remote_client.errors import UsageError
from remote_client.transport import Document
from remote_protocol.units import parse_duration

_REGISTRATION = "registration-tokens"


@click.group(cls=Group)
def token() -> None:
    """API tokens for people and programs, and tokens of single agents.

    \b
    Examples:
      remotectl token create --name ci --role operator --expires 90d
      remotectl token list
    """


@token.command("create")
@click.option("--name", required=True, type=NAME, help="Who uses it, or what for.")
@click.option(
    "--role",
    type=click.Choice(["viewer", "operator", "admin"]),
    default="viewer",
    show_default=True,
    help="A viewer looks, an operator runs jobs, an admin does everything.",
)
@click.option(
    "--agent", type=NAME, help="Make the token of this one agent instead of an API token."
)
@click.option(
    "--queue",
    "queues",
    multiple=True,
    type=NAME,
    shell_complete=completed("queues"),
    help="Limit the token of a viewer or operator to this queue; may be repeated. With --agent: a "
    "queue that it may serve (default: the default queue).",
)
@click.option("--any-queue", is_flag=True, help="With --agent: it may serve every queue.")
@click.option(
    "--label", "labels", multiple=True, metavar="K=V", help="With --agent: a label to keep."
)
@click.option("--expires", type=DURATION, help="How long it is valid, e.g. 90d; default: for ever.")
@secret_file
@output_option
@pass_session
def create(
    session: Session,
    /,
    name: str,
    role: str,
    agent: str | None,
    expires: float | None,
    output_file: str | None,
    output: str,
    **granted: Any,
) -> None:
    """Make a token; its text is shown this one time.

    \b
    Examples:
      remotectl token create --name ci --role operator --expires 90d
      remotectl token create --name team --role operator --queue default
      remotectl token create --name web-7 --agent web-7
    """
    body = {"name": name, "role": role, "agent": agent, "expires": expires, **_grant(granted)}
    _create(session, "tokens", body, output, output_file)


@token.command("list")
@list_options
@pass_session
def list_tokens(session: Session, look: Look) -> None:
    """All API and agent tokens, without their texts.

    \b
    Example:
      remotectl token list
    """
    _list(session.calls.every("tokens"), look)


@token.command()
@click.argument("id")
@pass_session
def revoke(session: Session, id: str) -> None:
    """End a token at once.

    \b
    Example:
      remotectl token revoke 01M7YFNZ7G4HK7EAPK0XJPWFEK
    """
    session.calls.delete("tokens", id.upper())
    note(f"token {id.upper()} is revoked")


@click.group("registration-token", cls=Group)
def registration_token() -> None:
    """Tokens with which agents enrol.

    \b
    Example:
      remotectl registration-token create --uses 1 --expires 1h --output-file token
    """


@registration_token.command("create")
@click.option(
    "--queue",
    "queues",
    multiple=True,
    type=NAME,
    shell_complete=completed("queues"),
    help="A queue that agents may serve (default: the default queue).",
)
@click.option("--any-queue", is_flag=True, help="Agents may serve every queue.")
@click.option(
    "--label", "labels", multiple=True, metavar="K=V", help="A label that hosts cannot change."
)
@click.option("--allow-replace", is_flag=True, help="A host may take over the name of another.")
@click.option(
    "--uses", default="1", show_default=True, metavar="N", help="How many agents, or `unlimited`."
)
@click.option(
    "--expires",
    default="1h",
    show_default=True,
    metavar="D",
    help="How long it is valid, or `never` to end.",
)
@secret_file
@output_option
@pass_session
def create_registration(
    session: Session,
    /,
    uses: str,
    expires: str,
    allow_replace: bool,
    output_file: str | None,
    output: str,
    **granted: Any,
) -> None:
    """Make a token for `remote-agent register`.

    \b
    Example:
      remotectl registration-token create --queue berlin --uses 5 --expires 1h --output-file token
    """
    try:
        seconds = None if expires == "never" else parse_duration(expires)
    except ValueError as error:
        raise UsageError(f"--expires: {error}") from None
    body = {
        "uses": _uses(uses),
        "expires": seconds,
        "allow_replace": allow_replace,
        **_grant(granted),
    }
    _create(session, _REGISTRATION, body, output, output_file)


@registration_token.command("list")
@list_options
@pass_session
def list_registration(session: Session, look: Look) -> None:
    """All registration tokens, without their texts.

    \b
    Example:
      remotectl registration-token list
    """
    _list(session.calls.every(_REGISTRATION), look)


@registration_token.command("revoke")
@click.argument("id")
@pass_session
def revoke_registration(session: Session, id: str) -> None:
    """End a registration token at once; agents that enrolled with it stay.

    \b
    Example:
      remotectl registration-token revoke 01M7YFNZ7G4HK7EAPK0XJPWFEK
    """
    session.calls.delete(_REGISTRATION, id.upper())
    note(f"registration token {id.upper()} is revoked")


def _uses(text: str) -> int | None:
    if text == "unlimited":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--uses {text!r} is neither a number above 0 nor `unlimited`")
    return int(text)


def _grant(granted: dict[str, Any]) -> dict[str, Any]:
    """What a token lets a host ask for, as far as the command's options say so."""
    labels: dict[str, str] = {}
    for text in granted["labels"]:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--label {text!r} is not KEY=VALUE")
        labels[key] = value
    said = {"queues": list(granted["queues"]), "any_queue": granted["any_queue"], "labels": labels}
    return {name: value for name, value in said.items() if value}


def _create(
    session: Session, kind: str, body: dict[str, Any], output: str, path: str | None
) -> None:
    with place_for_secret(path) as keep:
        created = session.calls.create(kind, body)
        if output == "json" and path is None:
            print_json(created)
            return
        until = f", valid until {when(created['expires_at'])}" if created.get("expires_at") else ""
        once = "" if path else "; it is shown this one time:"
        note(f"{created['kind']} token {created['id']}{until}{once}")
        keep(created["token"])
    if output == "json":
        print_json({key: value for key, value in created.items() if key != "token"})


def _list(page: Document, look: Look) -> None:
    print_list(page, _COLUMNS, look, "There are no such tokens.", "id")


def _state(item: Document) -> str:
    if item.get("revoked"):
        return "revoked"
    ends = moment(item["expires_at"]) if item.get("expires_at") else None
    if ends is not None and ends < datetime.now(UTC):
        return "expired"
    return "used up" if item.get("uses_left") == 0 else "valid"


def _queues(item: Document) -> str:
    return "any" if item.get("any_queue") else names(item.get("queues"))


_COLUMNS = (
    Column("ID", lambda item: text_of(item, "id")),
    Column("KIND", lambda item: text_of(item, "kind"), drop=2),
    Column("NAME", lambda item: str(item.get("agent") or item.get("name") or ""), cut=12),
    Column("ROLE", lambda item: text_of(item, "role"), drop=1),
    Column("QUEUES", _queues, cut=12, drop=5),
    Column("USES LEFT", lambda item: text_of(item, "uses_left"), drop=4),
    Column("EXPIRES", lambda item: when(item.get("expires_at")) or "never", drop=3),
    Column("STATE", _state),
    Column("USED", lambda item: age(item.get("last_used_at")), drop=6),
    Column("CREATED", lambda item: when(item.get("created_at")), wide=True),
)
