"""`remotectl webhook`: tell other programs what happens, and look at what was told."""

from __future__ import annotations

from typing import Any

import click

from remote_client.cli import webhook_messages
from remote_client.cli.options import (
    DURATION,
    NAME,
    REASONS,
    Group,
    Look,
    list_options,
    output_option,
    secret_file,
)
from remote_client.cli.output import (
    age,
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
from remote_client.errors import UsageError
from remote_client.transport import Document

_EVENTS = ("job.ended", "agent.offline", "agent.online", "queue.unserved", "queue.served")
_STATES = ("succeeded", "failed", "cancelled")
_LISTS = {"event": "events", "queue": "queues", "state": "states", "end_reason": "end_reasons"}


def _rule(command: Any) -> Any:
    """The options that say what a webhook tells."""
    for option in (
        click.option("--agent-name", metavar="GLOB", help="Only of agents, and jobs on them."),
        click.option("--job-name", metavar="GLOB", help="Only of jobs with such names."),
        click.option(
            "--end-reason", multiple=True, type=click.Choice(REASONS), help="Only such ends."
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


webhook.add_command(webhook_messages.test)
webhook.add_command(webhook_messages.deliveries)
webhook.add_command(webhook_messages.replay)


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
