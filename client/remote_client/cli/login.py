"""`remotectl login`, `logout` and `whoami`: who we are on which server."""

from __future__ import annotations

import getpass
import os
import sys
from contextlib import closing

import click

from remote_client.cli.browser import by_browser
from remote_client.cli.options import Command, output_option
from remote_client.cli.output import names, note, print_fields, print_json, text_of, when
from remote_client.cli.session import Session, pass_session
from remote_client.config import (
    Access,
    check_token,
    check_url,
    find_access,
    name_for,
    read_contexts,
    save_access,
    secured,
    write_contexts,
)
from remote_client.errors import ApiError, Unreachable, UsageError


@click.command(cls=Command)
@click.argument("server", required=False, metavar="[URL]")
@click.option("--token-stdin", is_flag=True, help="Read an API token from standard input.")
@click.option(
    "--role",
    type=click.Choice(["viewer", "operator", "admin"]),
    help="What to ask for in the browser; default: viewer, whoever confirms may choose more.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address that confirms the login.")
@pass_session
def login(
    session: Session,
    server: str | None,
    token_stdin: bool,
    role: str | None,
    no_browser: bool,
) -> None:
    """Log in by the browser or with a token, and keep it.

    Without a token, a page of the server opens, or its address is printed: there, who is signed in
    confirms the code that is shown here. It works over ssh, too. A token comes from --token-file,
    REMOTE_TOKEN or standard input. --context names the login; it becomes the current one.

    \b
    Examples:
      remotectl login https://jobs.example.com --role operator    # by the browser
      remotectl login --url https://jobs.example.com --context work --token-stdin < token
    """
    from remote_client.calls import Calls
    from remote_client.transport import Transport

    url = check_url(server or session.url or _asked("Server URL"))
    # Later calls come from other directories.
    ca_file = None if session.ca_file is None else os.path.abspath(session.ca_file)
    # Before anything is asked or sent.
    secured(Access(url, "", ca_file, session.insecure))
    given = session.token
    own = given is None and not token_stdin and _interactive()
    if role is not None and not own:
        raise UsageError("--role is for logins by the browser; the role of a token is its own")
    if token_stdin or (given is None and not own):
        given = _read_token()
    token = check_token(
        given or by_browser(url, ca_file, session.insecure, role=role, open_it=not no_browser)
    )
    with closing(Transport(url, token, ca_file)) as transport:
        calls = Calls(transport)
        version = calls.version()
        me = calls.whoami()
    name = session.context or name_for(url, read_contexts())
    path = save_access(Access(url, token, ca_file, session.insecure, own=own), name)
    note(
        f"logged in to {url} (remote-server {version.get('version')}) as {_who(me)}; "
        f"kept as context {name} in {path}"
    )


def _asked(what: str) -> str:
    if not _interactive():
        raise UsageError("No server is named; give --url or set REMOTE_URL")
    return str(click.prompt(what, err=True))


def _read_token() -> str:
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

    A token that came from a login in the browser is revoked, too.

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
    stored = contexts.find(name)
    if stored.get("own") is True:
        _revoke(session, name)
    del contexts.known[name]
    if contexts.current == name:
        contexts.current = None
    write_contexts(contexts)
    rest = f"; there are still: {', '.join(contexts.known)}" if contexts.known else ""
    note(f"logged out of {name}{rest}")


def _revoke(session: Session, name: str) -> None:
    """Have the server revoke the token of a context. A failure keeps nobody from logging out."""
    from remote_client.calls import Calls
    from remote_client.transport import Transport

    access = find_access(context=name, insecure=session.insecure)
    try:
        with closing(Transport(access.url, access.token, access.ca_file)) as transport:
            Calls(transport).end_own_token()
    except ApiError as error:
        if error.status not in (401, 404):
            note(f"the server did not revoke the token: {error}")
    except Unreachable as error:
        note(f"the token was not revoked, and is good until it expires: {error}")


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
            ("Only queues", names(me.get("queues"))),
            ("Server", access.url),
            ("Context", access.context or ""),
            ("Token", text_of(me, "id")),
            ("Expires", when(me.get("expires_at")) or "never"),
        ]
    )
