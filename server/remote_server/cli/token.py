"""`remote-server token create`: an API token, made in the database itself.

Works without a running server, and beside one. Opens the database.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import time
from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError

from remote_protocol.api.tokens import TokenCreated
from remote_protocol.ids import TOKEN_ENTROPY, Name, Role, TokenKind, make_token
from remote_protocol.units import parse_duration
from remote_server.cli.options import configuration, require_database, storage_options
from remote_server.config import Config


def _duration(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> float | None:
    try:
        return None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None


def _name(context: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        return str(TypeAdapter(Name).validate_python(value))
    except ValidationError:
        raise click.BadParameter(
            "letters, digits, '.', '_', '-', at most 128", context, parameter
        ) from None


@click.group(epilog="\b\nExample:\n  remote-server token create --role viewer --name alice")
def token() -> None:
    """Make tokens without the API."""


@token.command(
    epilog="\b\nExample:\n  remote-server token create --role operator --name ci --expires 90d"
)
@storage_options
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    required=True,
    envvar="REMOTE_SERVER_TOKEN_ROLE",
    show_envvar=True,
    help="What its holder may do.",
)
@click.option(
    "--name",
    callback=_name,
    required=True,
    envvar="REMOTE_SERVER_TOKEN_NAME",
    show_envvar=True,
    help="Who uses it, or what for.",
)
@click.option(
    "--expires",
    callback=_duration,
    metavar="DURATION",
    envvar="REMOTE_SERVER_TOKEN_EXPIRES",
    show_envvar=True,
    help="How long it is valid, for example 90d.  [default: never]",
)
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    envvar="REMOTE_SERVER_OUTPUT",
    show_envvar=True,
    show_default=True,
    help="For people or for programs.",
)
def create(
    config_file: Path | None,
    role: str,
    name: str,
    expires: float | None,
    output: str,
    **flags: object,
) -> None:
    """Make an API token and print it. It is shown only now."""
    config = configuration(config_file, **flags)
    require_database(config)
    made = asyncio.run(_create(config, Role(role), name, expires))
    if output == "json":
        click.echo(made.model_dump_json(indent=2))
        return
    ends = made.expires_at.isoformat(timespec="seconds") if made.expires_at else "never"
    click.echo(f"id       {made.id}\nname     {made.name}\nrole     {made.role}")
    click.echo(f"expires  {ends}\ntoken    {made.token}")


def _user() -> str:
    """Who runs this program, for the audit."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        # A container's user may have no name.
        return "unknown"


async def _create(config: Config, role: Role, name: str, expires: float | None) -> TokenCreated:
    # Their imports take longer than a usage error or a help text may.
    from remote_server.domain.model import Principal
    from remote_server.queries.views import token_values
    from remote_server.store import Store, Terms
    from remote_server.web import digest

    terms = Terms(config.server.durability, migrate=False, guest=True)
    store = await Store.open(config.database_url, terms)
    try:
        text = make_token(TokenKind.API, os.urandom(TOKEN_ENTROPY))
        now = time.time()
        ends = None if expires is None else now + expires
        by = Principal("", _user(), "", "command_line")
        made = await store.create_token(
            "api", digest(text), name, now, role=role, expires_at=ends, by=by
        )
        return TokenCreated.model_validate({**token_values(made, None), "token": text})
    finally:
        await store.close()
