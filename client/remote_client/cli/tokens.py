"""`remotectl token` and `remotectl registration-token`: make, list and revoke tokens."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from remote_client.cli.output import note, output_option, print_json, print_table, when
from remote_client.cli.session import Session, pass_session
from remote_client.errors import UsageError
from remote_protocol.api import Page, RegistrationTokenCreate, TokenCreated, TokenView
from remote_protocol.ids import Role
from remote_protocol.units import parse_duration

_REGISTRATION = "registration-tokens"


@click.group()
def token() -> None:
    """API tokens for people and programs, and tokens of single agents.

    \b
    Examples:
      remotectl token create --name ci --role operator --expires 90d
      remotectl token list
    """


@token.command("create")
@click.option("--name", required=True, help="Whose it is.")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default="viewer",
    show_default=True,
    help="A viewer looks, an operator runs jobs, an admin does everything.",
)
@click.option("--agent", help="Make the token of this one agent instead of an API token.")
@click.option("--expires", metavar="D", help="End after so long, e.g. 90d; default: never.")
@output_option
@pass_session
def create(
    session: Session, name: str, role: str, agent: str | None, expires: str | None, output: str
) -> None:
    """Make a token; its text is shown this one time.

    \b
    Examples:
      remotectl token create --name ci --role operator --expires 90d
      remotectl token create --name web-7 --agent web-7
    """
    seconds = _duration(expires)
    _created(session.client.create_token(name, Role(role), agent=agent, expires=seconds), output)


@token.command("list")
@output_option
@pass_session
def list_tokens(session: Session, output: str) -> None:
    """All API and agent tokens, without their texts.

    \b
    Example:
      remotectl token list
    """
    _list(session.client.token_page(), output)


@token.command()
@click.argument("id")
@pass_session
def revoke(session: Session, id: str) -> None:
    """End a token at once.

    \b
    Example:
      remotectl token revoke 01M7YFNZ7G4HK7EAPK0XJPWFEK
    """
    session.client.revoke_token(id.upper())
    note(f"token {id.upper()} is revoked")


@click.group("registration-token")
def registration_token() -> None:
    """Tokens with which agents enrol.

    \b
    Example:
      remotectl registration-token create --uses 1 --expires 1h > token
    """


@registration_token.command("create")
@click.option("--queue", "queues", multiple=True, help="Only for agents of these queues.")
@click.option("--uses", type=click.IntRange(min=1), help="How many agents may enrol.")
@click.option(
    "--expires", default="1h", show_default=True, metavar="D", help="End after so long, or `never`."
)
@output_option
@pass_session
def create_registration(
    session: Session, queues: tuple[str, ...], uses: int | None, expires: str, output: str
) -> None:
    """Make a token for `remote-agent register`.

    \b
    Example:
      remotectl registration-token create --queue berlin --uses 5 --expires 1h > token
    """
    seconds = None if expires == "never" else _duration(expires)
    request = RegistrationTokenCreate(queues=list(queues), uses=uses, expires=seconds)
    _created(session.client.create_registration_token(request), output)


@registration_token.command("list")
@output_option
@pass_session
def list_registration(session: Session, output: str) -> None:
    """All registration tokens, without their texts.

    \b
    Example:
      remotectl registration-token list
    """
    _list(session.client.token_page(_REGISTRATION), output)


@registration_token.command("revoke")
@click.argument("id")
@pass_session
def revoke_registration(session: Session, id: str) -> None:
    """End a registration token at once; agents that enrolled with it stay.

    \b
    Example:
      remotectl registration-token revoke 01M7YFNZ7G4HK7EAPK0XJPWFEK
    """
    session.client.revoke_token(id.upper(), _REGISTRATION)
    note(f"registration token {id.upper()} is revoked")


def _duration(text: str | None) -> float | None:
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--expires: {error}") from None


def _created(created: TokenCreated, output: str) -> None:
    if output == "json":
        print_json(created)
        return
    until = f", valid until {when(created.expires_at)}" if created.expires_at else ""
    note(f"{created.kind} token {created.id}{until}; it is shown this one time:")
    click.echo(created.token)


def _list(page: Page[TokenView], output: str) -> None:
    if output == "json":
        print_json(page)
        return
    print_table(
        ["ID", "KIND", "NAME", "ROLE", "QUEUES", "USES LEFT", "EXPIRES", "STATE", "LAST USED"],
        (
            [
                item.id,
                item.kind,
                item.agent or item.name,
                item.role.value if item.role else "",
                ", ".join(item.queues),
                "" if item.uses_left is None else str(item.uses_left),
                when(item.expires_at) or "never",
                _state(item),
                when(item.last_used_at),
            ]
            for item in page.items
        ),
        "There are no such tokens.",
    )


def _state(item: TokenView) -> str:
    if item.revoked:
        return "revoked"
    if item.expires_at and item.expires_at < datetime.now(UTC):
        return "expired"
    return "used up" if item.uses_left == 0 else "valid"
