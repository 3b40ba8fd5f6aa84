"""`remotectl login`, `logout` and `whoami`: who we are on which server."""

from __future__ import annotations

import getpass
import os
import sys
from contextlib import closing

import click

from remote_client.cli.options import Command, output_option
from remote_client.cli.output import note, print_fields, print_json, text_of, when
from remote_client.cli.session import Session, pass_session
from remote_client.config import (
    Access,
    check_token,
    check_url,
    name_for,
    read_contexts,
    save_access,
    secured,
    write_contexts,
)
from remote_client.errors import UsageError


@click.command(cls=Command)
@pass_session
def login(session: Session) -> None:
    """Check server and token, then keep them for later calls.

    The token comes from --token-file, REMOTE_TOKEN, a pipe, or is asked for. --context names the
    login, so that there may be several; it becomes the current one.

    \b
    Examples:
      remotectl login --url https://jobs.example.com        # asks for the token
      remotectl login --url https://jobs.example.com --context work < token
    """
    from remote_client.calls import Calls
    from remote_client.transport import Transport

    url = check_url(session.url or _asked("Server URL"))
    # Later calls come from other directories.
    ca_file = None if session.ca_file is None else os.path.abspath(session.ca_file)
    # Before anything is asked or sent.
    secured(Access(url, "", ca_file, session.insecure))
    token = check_token(session.token or _secret())
    with closing(Transport(url, token, ca_file)) as transport:
        calls = Calls(transport)
        version = calls.version()
        me = calls.whoami()
    name = session.context or name_for(url, read_contexts())
    path = save_access(Access(url, token, ca_file, session.insecure), name)
    note(
        f"logged in to {url} (remote-server {version.get('version')}) as {_who(me)}; "
        f"kept as context {name} in {path}"
    )


def _asked(what: str) -> str:
    if not _interactive():
        raise UsageError("No server is named; give --url or set REMOTE_URL")
    return str(click.prompt(what, err=True))


def _secret() -> str:
    if _interactive():
        return getpass.getpass("API token: ")
    if sys.stdin is None:
        raise UsageError("No token is given and stdin is closed; give --token-file")
    return sys.stdin.readline(64 * 1024)


def _interactive() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _who(me: dict[str, object]) -> str:
    return f"{me.get('name')} ({me.get('role')})"


@click.command(cls=Command)
@pass_session
def logout(session: Session) -> None:
    """Forget the current login, or the one that --context names.

    \b
    Examples:
      remotectl logout
      remotectl logout --context work
    """
    contexts = read_contexts()
    name = session.context or contexts.current
    if name is None or (session.context is None and name not in contexts.known):
        note("there was no login to forget")
        return
    contexts.find(name)
    del contexts.known[name]
    if contexts.current == name:
        contexts.current = None
    write_contexts(contexts)
    rest = f"; there are still: {', '.join(contexts.known)}" if contexts.known else ""
    note(f"logged out of {name}{rest}")


@click.command(cls=Command)
@output_option
@pass_session
def whoami(session: Session, output: str) -> None:
    """Your name and role at the server, and how long the token is valid.

    \b
    Examples:
      remotectl whoami
      remotectl whoami --context work --output json | jq -r .role
    """
    me = session.calls.whoami()
    if output == "json":
        print_json(me)
        return
    access = session.access
    print_fields(
        [
            ("Name", text_of(me, "name")),
            ("Role", text_of(me, "role")),
            ("Server", access.url),
            ("Context", access.context or ""),
            ("Token", text_of(me, "id")),
            ("Expires", when(me.get("expires_at")) or "never"),
        ]
    )
