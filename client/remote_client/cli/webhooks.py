"""`remotectl webhook`: tell other programs what happens, and look at what was told."""

from __future__ import annotations

import time
from typing import Any

import click

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
    duration,
    names,
    note,
    place_for_secret,
    print_fields,
    print_json,
    text_of,
    when,
)
from remote_client.cli.session import Session, pass_session
from remote_client.cli.table import Column, print_list
from remote_client.errors import ClientError, UsageError
from remote_client.transport import Document

_EVENTS = ("job.ended", "agent.offline", "agent.online", "queue.unserved", "queue.served")
_STATES = ("succeeded", "failed", "cancelled")
_REASONS = (
    "exit", "signal", "timeout", "memory_limit", "cancelled", "lost", "rejected", "expired",
    "spawn_error",
)  # fmt: skip
_LISTS = {"event": "events", "queue": "queues", "state": "states", "end_reason": "end_reasons"}
_TEST_TAKES = 150.0
"""Seconds: longer than an attempt may take."""


def _rule(command: Any) -> Any:
    """The options that say what a webhook tells."""
    for option in (
        click.option("--agent-name", metavar="GLOB", help="Only of agents, and jobs on them."),
        click.option("--job-name", metavar="GLOB", help="Only of jobs with such names."),
        click.option(
            "--end-reason", multiple=True, type=click.Choice(_REASONS), help="Only such ends."
        ),
        click.option(
            "--state", multiple=True, type=click.Choice(_STATES), help="Only jobs that ended so."
        ),
        click.option("--queue", multiple=True, type=NAME, help="Only of this queue."),
        click.option(
            "--event", multiple=True, type=click.Choice(_EVENTS), help="What it tells; repeatable."
        ),
    ):
        command = option(command)
    return command


def _given(said: dict[str, Any]) -> dict[str, Any]:
    """The fields of a rule as far as options say them."""
    fields: dict[str, Any] = {}
    for name, value in said.items():
        if value:
            fields[_LISTS.get(name, name)] = list(value) if name in _LISTS else value
    return fields


@click.group(cls=Group)
def webhook() -> None:
    """Tell other programs by HTTP when jobs end, and when agents go or come.

    \b
    Examples:
      remotectl webhook create alarm --to https://example.com/hook --event job.ended --state failed
      remotectl webhook test alarm
      remotectl webhook deliveries alarm
    """


@webhook.command()
@click.argument("name", type=NAME)
@click.option("--to", "target", required=True, metavar="URL", help="Where messages are posted to.")
@_rule
@secret_file
@output_option
@pass_session
def create(
    session: Session, /, name: str, target: str, output_file: str | None, output: str, **rule: Any
) -> None:
    """Make a webhook; the secret that its messages are signed with is shown this one time.

    \b
    Examples:
      remotectl webhook create alarm --to https://example.com/hook --event job.ended --state failed
      remotectl webhook create hosts --to https://example.com/hook --event agent.offline \\
        --event agent.online --output-file hosts.secret
    """
    if not rule["event"]:
        raise UsageError(f"Give at least one --event: {', '.join(_EVENTS)}")
    with place_for_secret(output_file) as keep:
        body = {"name": name, "url": target, **_given(rule)}
        made = session.calls.create("webhooks", body)
        _secret(made, output, output_file, keep)


@webhook.command("list")
@list_options
@pass_session
def list_webhooks(session: Session, look: Look) -> None:
    """All webhooks.

    \b
    Example:
      remotectl webhook list
    """
    empty = "There are no webhooks. Make one: remotectl webhook create NAME --to URL --event …"
    print_list(session.calls.every("webhooks"), _COLUMNS, look, empty)


@webhook.command()
@click.argument("name", type=NAME)
@output_option
@pass_session
def show(session: Session, name: str, output: str) -> None:
    """One webhook.

    \b
    Example:
      remotectl webhook show alarm
    """
    _print(session.calls.one("webhooks", name), output)


@webhook.command()
@click.argument("name", type=NAME)
@click.option("--to", "target", metavar="URL", help="Where messages are posted to.")
@click.option("--enable/--disable", "enabled", default=None, help="Tell again, or no more.")
@click.option("--clear", multiple=True, help="A condition to drop: queue, state, job-name …")
@_rule
@output_option
@pass_session
def update(
    session: Session,
    /,
    name: str,
    target: str | None,
    enabled: bool | None,
    clear: tuple[str, ...],
    output: str,
    **rule: Any,
) -> None:
    """Change a webhook, enable or disable it; what is not given stays.

    \b
    Examples:
      remotectl webhook update alarm --enable
      remotectl webhook update alarm --queue berlin --clear job-name
    """
    body = {**_cleared(clear), **_given(rule)}
    if target is not None:
        body["url"] = target
    if enabled is not None:
        body["enabled"] = enabled
    if not body:
        raise UsageError("Nothing to change: give --to, --enable, --disable or a condition")
    _print(session.calls.change("webhooks", name, body), output)


def _cleared(clear: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option in clear:
        name = option.replace("-", "_")
        if name in ("job_name", "agent_name"):
            found[name] = None
        elif name in _LISTS and name != "event":
            found[_LISTS[name]] = []
        else:
            raise UsageError(
                f"--clear {option!r} is none of queue, state, end-reason, job-name, agent-name"
            )
    return found


@webhook.command()
@click.argument("name", type=NAME)
@pass_session
def delete(session: Session, name: str) -> None:
    """Remove a webhook; what waits is not sent any more.

    \b
    Example:
      remotectl webhook delete alarm
    """
    session.calls.delete("webhooks", name)
    note(f"webhook {name} is deleted")


@webhook.command()
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


@webhook.command("rotate-secret")
@click.argument("name", type=NAME)
@click.option(
    "--grace",
    type=DURATION,
    default="1d",
    show_default=True,
    help="How long messages are signed with the former secret, too.",
)
@secret_file
@output_option
@pass_session
def rotate_secret(
    session: Session, name: str, grace: float, output_file: str | None, output: str
) -> None:
    """Make a new secret, which is shown this one time.

    \b
    Example:
      remotectl webhook rotate-secret alarm --grace 2h
    """
    with place_for_secret(output_file) as keep:
        made = session.calls.ask_webhook(name, "rotate-secret", {"grace": grace})
        _secret(made, output, output_file, keep)


@webhook.command()
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
    print_list(page, _DELIVERY_COLUMNS, look, "There are no such messages.", "id")


@webhook.command()
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


def _secret(made: Document, output: str, path: str | None, keep: Any) -> None:
    if output == "json" and path is None:
        print_json(made)
        return
    once = "; its secret:" if path is None else f"; its secret is in {path}"
    note(f"webhook {made['name']} is ready{once}")
    keep(made["secret"])
    if output == "json":
        print_json({key: value for key, value in made.items() if key != "secret"})


def _state(item: Document) -> str:
    if not item.get("enabled"):
        return "disabled"
    return "failing" if item.get("failing_since") else "enabled"


_COLUMNS = (
    Column("NAME", lambda item: text_of(item, "name")),
    Column("STATE", _state),
    Column("EVENTS", lambda item: names(item.get("events")), cut=16),
    Column("PENDING", lambda item: text_of(item, "pending"), drop=3),
    Column("DROPPED", lambda item: text_of(item, "dropped"), drop=4),
    Column("DELIVERED", lambda item: age(item.get("delivered_at")), drop=2),
    Column("URL", lambda item: text_of(item, "url"), cut=16, drop=1),
)
_DELIVERY_COLUMNS = (
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


def _print(view: Document, output: str) -> None:
    if output == "json":
        print_json(view)
        return
    print_fields(
        [
            ("Webhook", text_of(view, "name")),
            ("URL", text_of(view, "url")),
            ("State", _state(view)),
            ("Disabled", text_of(view, "disabled_reason")),
            ("Attention", text_of(view, "attention")),
            ("Events", names(view.get("events"))),
            ("Queues", names(view.get("queues"))),
            ("Job name", text_of(view, "job_name")),
            ("Agent name", text_of(view, "agent_name")),
            ("States", names(view.get("states"))),
            ("End reasons", names(view.get("end_reasons"))),
            ("Pending", text_of(view, "pending")),
            ("Dropped", text_of(view, "dropped")),
            ("Delivered", when(view.get("delivered_at"))),
            ("Failing since", when(view.get("failing_since"))),
            ("Created", when(view.get("created_at"))),
        ]
    )
