"""`remotectl doctor`: what keeps us from the server."""

from __future__ import annotations

import click

from remote_client.cli.options import Command, output_option
from remote_client.cli.session import Session, pass_session


@click.command(cls=Command)
@output_option
@pass_session
def doctor(session: Session, output: str) -> int:
    """Look for what keeps remotectl from its server, and name the cure.

    It changes nothing. The exit code is 0 only if nothing failed; what is skipped was not looked
    at, and says why.

    \b
    Examples:
      remotectl doctor
      remotectl doctor --context work --output json
    """
    from remote_client.doctor import examine
    from remote_protocol.report import as_json, as_table, exit_code

    findings = examine(lambda: session.access, lambda: session.token)
    click.echo(as_json(findings) if output == "json" else as_table(findings))
    return exit_code(findings)
