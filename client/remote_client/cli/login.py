"""`remotectl login`: keep server and token in a file that only its owner can read."""

from __future__ import annotations

from pathlib import Path

import click

from remote_client.cli.output import note
from remote_client.cli.session import Session, pass_session
from remote_client.client import Client
from remote_client.config import Access, check_token, check_url, forget_login, save_login


@click.command()
@pass_session
def login(session: Session) -> None:
    """Check server and token, then keep them for later calls.

    \b
    Examples:
      remotectl --url https://jobs.example.com login        (asks for the token)
      REMOTE_TOKEN=rpt_… remotectl --url http://127.0.0.1:8750 login
    """
    url = check_url(session.url or click.prompt("Server URL"))
    token = check_token(session.token or click.prompt("API token", hide_input=True))
    # Later calls come from other directories.
    ca_file = None if session.ca_file is None else str(Path(session.ca_file).absolute())
    with Client(url, token, ca_file=ca_file) as client:
        version = client.version()
        client.queues()
    path = save_login(Access(url, token, ca_file))
    note(f"logged in to {url} (remote-server {version.version}); kept in {path}")


@click.command()
def logout() -> None:
    """Forget server and token of `login`.

    \b
    Example:
      remotectl logout
    """
    note("logged out" if forget_login() else "there was no login to forget")
