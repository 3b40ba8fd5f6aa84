"""`remotectl webhook test`, `deliveries` and `replay`: what webhooks were told, told again."""

from __future__ import annotations

import time

import click

from remote_client.cli.options import NAME, Command, Look, list_options, output_option
from remote_client.cli.output import duration, note, print_json, text_of, when
from remote_client.cli.session import Session, pass_session
from remote_client.cli.table import Column, print_list
from remote_client.errors import ClientError

_TEST_TAKES = 150.0
"""Seconds: longer than an attempt may take."""


@click.command(cls=Command)
@click.argument("name", type=NAME)
@output_option
@pass_session
def test(session: Session, name: str, output: str) -> None:
    """Send a test message, and say what came of it.

    \b
    Example:
      remotectl webhook test alarm
    """
    made = session.calls.ask_webhook(name, "test")
    _settled(session, name, made["id"], output)


@click.command(cls=Command)
@click.argument("name", type=NAME)
@click.option("--state", type=click.Choice(["pending", "delivered", "failed"]), help="Only these.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many."
)
@list_options
@pass_session
def deliveries(session: Session, name: str, state: str | None, limit: int, look: Look) -> None:
    """The newest messages of a webhook, and what became of them.

    \b
    Example:
      remotectl webhook deliveries alarm --state failed
    """
    page = session.calls.webhook_deliveries(name, state=state, limit=limit)
    print_list(page, _COLUMNS, look, "There are no such messages.", "id")


@click.command(cls=Command)
@click.argument("name", type=NAME)
@click.argument("delivery")
@output_option
@pass_session
def replay(session: Session, name: str, delivery: str, output: str) -> None:
    """Send a message again, with the same id, and say what came of it.

    \b
    Example:
      remotectl webhook replay alarm 01M7YFNZ7G4HK7EAPK0XJPWFEK
    """
    wanted = delivery.upper()
    session.calls.ask_webhook(name, f"deliveries/{wanted}/replay")
    _settled(session, name, wanted, output)


def _settled(session: Session, name: str, delivery: str, output: str) -> None:
    """Wait until a message was tried, and say what came of it. ClientError when it failed."""
    until, pause = time.monotonic() + _TEST_TAKES, 0.05
    found = session.calls.webhook_delivery(name, delivery)
    while found["state"] == "pending" and not found["attempts"]:
        if time.monotonic() > until:
            raise ClientError(f"the message {delivery} still waits; see: remotectl webhook "
                              f"deliveries {name}")  # fmt: skip
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)
        found = session.calls.webhook_delivery(name, delivery)
    if output == "json":
        print_json(found)
    if found["state"] != "delivered":
        later = " It is tried again." if found["state"] == "pending" else ""
        raise ClientError(f"the message {delivery} was not delivered: {found['error']}.{later}")
    if output != "json":
        note(f"the message {delivery} was delivered: the receiver answered {found['status']}")


_COLUMNS = (
    Column("ID", lambda item: text_of(item, "id")),
    Column("TYPE", lambda item: text_of(item, "type")),
    Column("SUBJECT", lambda item: text_of(item, "subject"), drop=3),
    Column("STATE", lambda item: text_of(item, "state")),
    Column("ATTEMPTS", lambda item: text_of(item, "attempts"), drop=4),
    Column("STATUS", lambda item: text_of(item, "status")),
    Column("TOOK", lambda item: duration(item.get("seconds")), drop=5),
    Column("CREATED", lambda item: when(item.get("created_at")), wide=True),
    Column("NEXT", lambda item: when(item.get("next_at")), drop=2),
    Column("ERROR", lambda item: text_of(item, "error"), cut=16, drop=1),
)
