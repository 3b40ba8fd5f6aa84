"""`remotectl context`: the servers that were logged in to, and which one is used."""

from __future__ import annotations

import click

from remote_client.cli.completed import completed
from remote_client.cli.options import Group, Look, list_options, output_option
from remote_client.cli.output import note, print_fields, print_json, text_of
from remote_client.cli.session import Session, pass_session
from remote_client.cli.table import Column, print_list
from remote_client.config import config_file, read_contexts, write_contexts
from remote_client.errors import UsageError

_name = click.argument("name", shell_complete=completed("contexts"))


@click.group(cls=Group)
def context() -> None:
    """List logins, show them, choose and delete them.

    A context is a server with a token, kept by `remotectl login --context NAME`.

    \b
    Examples:
      remotectl context list
      remotectl context use work
      remotectl job list --context dev
    """


_COLUMNS = (
    Column("CURRENT", lambda item: "*" if item["current"] else ""),
    Column("NAME", lambda item: text_of(item, "name")),
    Column("URL", lambda item: text_of(item, "url")),
    Column("CA FILE", lambda item: text_of(item, "ca_file"), drop=1, cut=12),
)


def _shown(name: str, stored: dict[str, object], current: str | None) -> dict[str, object]:
    """A context without its token."""
    public = {key: value for key, value in stored.items() if key != "token"}
    return {"name": name, "current": name == current, **public}


@context.command("list")
@list_options
def list_contexts(look: Look) -> None:
    """All contexts.

    \b
    Example:
      remotectl context list
    """
    contexts = read_contexts()
    items = [_shown(name, stored, contexts.current) for name, stored in contexts.known.items()]
    empty = "There are no contexts. Make one: remotectl login --url URL --context NAME"
    print_list({"items": items}, _COLUMNS, look, empty)


@context.command()
@click.argument("name", required=False, shell_complete=completed("contexts"))
@output_option
@pass_session
def show(session: Session, name: str | None, output: str) -> None:
    """One context, by default the one in use.

    \b
    Example:
      remotectl context show
    """
    contexts = read_contexts()
    chosen = name or session.context or contexts.current
    if chosen is None:
        raise UsageError("No context is in use; choose one: remotectl context use NAME")
    found = _shown(chosen, contexts.find(chosen), contexts.current)
    if output == "json":
        print_json(found)
        return
    print_fields(
        [
            ("Context", chosen + (" (current)" if found["current"] else "")),
            ("Server", text_of(found, "url")),
            ("CA file", text_of(found, "ca_file")),
            ("Insecure", "yes" if found.get("insecure") is True else ""),
            ("File", config_file()),
        ]
    )


@context.command()
@_name
def use(name: str) -> None:
    """Use this context from now on.

    \b
    Example:
      remotectl context use work
    """
    contexts = read_contexts()
    stored = contexts.find(name)
    contexts.current = name
    write_contexts(contexts)
    note(f"using {name} ({stored.get('url')})")


@context.command()
@_name
def delete(name: str) -> None:
    """Forget a context and its token; on the server the token stays valid.

    \b
    Example:
      remotectl context delete work
    """
    contexts = read_contexts()
    contexts.find(name)
    del contexts.known[name]
    if contexts.current == name:
        contexts.current = None
    write_contexts(contexts)
    note(f"context {name} is deleted")
