"""`remotectl login`: keep server and token in a file that only its owner can read."""

from __future__ import annotations

import os
from contextlib import closing

import click

from remote_client.calls import Calls
from remote_client.cli.options import Command
from remote_client.cli.output import note
from remote_client.cli.session import Session, pass_session
from remote_client.config import Access, check_token, check_url, forget_login, save_login
from remote_client.transport import Transport


@click.command(cls=Command)
@pass_session
def login(session: Session) -> None:
    """Check server and token, then keep them for later calls.

    \b
    Examples:
      remotectl login --url https://jobs.example.com        (asks for the token)
      REMOTE_TOKEN=rpt_… remotectl login --url http://127.0.0.1:8750
    """
    url = check_url(session.url or click.prompt("Server URL"))
    token = check_token(session.token or click.prompt("API token", hide_input=True))
    # Later calls come from other directories.
    ca_file = None if session.ca_file is None else os.path.abspath(session.ca_file)
    with closing(Transport(url, token, ca_file)) as transport:
        calls = Calls(transport)
        version = calls.version()
        calls.page("queues")
    path = save_login(Access(url, token, ca_file))
    note(f"logged in to {url} (remote-server {version.get('version')}); kept in {path}")


@click.command(cls=Command)
def logout() -> None:
    """Forget server and token of `login`.

    \b
    Example:
      remotectl logout
    """
    note("logged out" if forget_login() else "there was no login to forget")
