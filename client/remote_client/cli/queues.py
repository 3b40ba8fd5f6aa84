"""`remotectl queue`: look at queues, make and change them."""

from __future__ import annotations

import click

from remote_client.cli.completed import completed
from remote_client.cli.options import (
    DURATION,
    NAME,
    SIZE,
    Group,
    Look,
    list_options,
    output_option,
)
from remote_client.cli.output import (
    duration,
    names,
    note,
    print_fields,
    print_json,
    size,
    text_of,
    when,
)
from remote_client.cli.session import Session, pass_session
from remote_client.cli.table import Column, print_list
from remote_client.errors import UsageError
from remote_client.transport import Document

_retention = click.option(
    "--log-retention", type=DURATION, help="How long to keep logs of ended jobs."
)
_jobs = click.option("--job-retention", type=DURATION, help="How long to keep ended jobs.")
_default = click.option(
    "--default",
    is_flag=True,
    help="Jobs that name no queue go there, and no longer to the former default queue.",
)
_total = click.option("--log-max-total", type=SIZE, help="Most bytes of logs; the oldest go.")


@click.group(cls=Group)
def queue() -> None:
    """List queues, show, create, edit, pause and delete them.

    \b
    Examples:
      remotectl queue list
      remotectl queue create berlin --description 'hosts in Berlin'
    """


@queue.command("list")
@list_options
@pass_session
def list_queues(session: Session, look: Look) -> None:
    """All queues with their load.

    \b
    Example:
      remotectl queue list
    """
    empty = "There are no queues. Make one: remotectl queue create NAME"
    print_list(session.calls.every("queues"), _COLUMNS, look, empty)


def _health(item: Document) -> str:
    return ("yes" if item.get("healthy") else "no") + (" (paused)" if item.get("paused") else "")


_COLUMNS = (
    Column("NAME", lambda item: text_of(item, "name")),
    Column("HEALTHY", _health),
    Column("QUEUED", lambda item: text_of(item, "queued")),
    Column("RUNNING", lambda item: text_of(item, "running")),
    Column("OLDEST", lambda item: duration(item.get("oldest_seconds"))),
    Column(
        "AGENTS", lambda item: f"{item.get('agents_online', 0)}/{len(item.get('agents') or ())}"
    ),
    Column("DEFAULT", lambda item: "yes" if item.get("default") else "", drop=2),
    Column("CREATED", lambda item: when(item.get("created_at")), wide=True),
    Column("DESCRIPTION", lambda item: text_of(item, "description"), cut=12, drop=1),
)


@queue.command()
@click.argument("name", type=NAME, shell_complete=completed("queues"))
@output_option
@pass_session
def show(session: Session, name: str, output: str) -> None:
    """One queue.

    \b
    Example:
      remotectl queue show berlin
    """
    _print(session.calls.one("queues", name), output)


@queue.command()
@click.argument("name", type=NAME, shell_complete=completed("queues"))
@click.option("--description", default="", help="What it is for.")
@_retention
@_total
@_jobs
@_default
@output_option
@pass_session
def create(
    session: Session,
    name: str,
    description: str,
    log_retention: float | None,
    log_max_total: int | None,
    job_retention: float | None,
    default: bool,
    output: str,
) -> None:
    """Make a queue.

    \b
    Example:
      remotectl queue create berlin --description 'hosts in Berlin' --log-retention 30d
    """
    given = {
        "log_retention": log_retention,
        "log_max_total": log_max_total,
        "job_retention": job_retention,
        "default": default or None,
    }
    body = {"name": name, "description": description}
    view = session.calls.create(
        "queues", body | {key: value for key, value in given.items() if value is not None}
    )
    _done(view, output, "is made; let agents serve it: remotectl agent set NAME --queue …")


@queue.command()
@click.argument("name", type=NAME, shell_complete=completed("queues"))
@click.option("--description", help="What it is for.")
@_retention
@_total
@_jobs
@_default
@output_option
@pass_session
def edit(
    session: Session,
    name: str,
    description: str | None,
    log_retention: float | None,
    log_max_total: int | None,
    job_retention: float | None,
    default: bool,
    output: str,
) -> None:
    """Change a queue; what is not given stays.

    Exactly one queue is the default one: --default takes that from the one that has it. Jobs that
    were submitted before stay where they are.

    \b
    Examples:
      remotectl queue edit berlin --description 'the new hosts'
      remotectl queue edit berlin --default
    """
    given = {
        "description": description,
        "log_retention": log_retention,
        "log_max_total": log_max_total,
        "job_retention": job_retention,
        "default": default or None,
    }
    fields = {key: value for key, value in given.items() if value is not None}
    if not fields:
        raise UsageError(
            "Nothing to change: give --description, --log-retention, --log-max-total, "
            "--job-retention or --default"
        )
    view = session.calls.change("queues", name, fields)
    _done(view, output, "is the default one now" if default else "is changed")


@queue.command()
@click.argument("name", type=NAME, shell_complete=completed("queues"))
@output_option
@pass_session
def pause(session: Session, name: str, output: str) -> None:
    """Let its jobs wait, whatever agents there are.

    \b
    Example:
      remotectl queue pause berlin
    """
    _done(session.calls.change("queues", name, {"paused": True}), output, "is paused")


@queue.command()
@click.argument("name", type=NAME, shell_complete=completed("queues"))
@output_option
@pass_session
def resume(session: Session, name: str, output: str) -> None:
    """Let its jobs start again.

    \b
    Example:
      remotectl queue resume berlin
    """
    _done(session.calls.change("queues", name, {"paused": False}), output, "runs again")


@queue.command()
@click.argument("name", type=NAME, shell_complete=completed("queues"))
@pass_session
def delete(session: Session, name: str) -> None:
    """Remove a queue that no job waits in and no agent serves.

    \b
    Example:
      remotectl queue delete berlin
    """
    session.calls.delete("queues", name)
    note(f"queue {name} is deleted")


def _done(view: Document, output: str, words: str) -> None:
    if output == "json":
        print_json(view)
    else:
        note(f"queue {view['name']} {words}")


def _print(view: Document, output: str) -> None:
    if output == "json":
        print_json(view)
        return
    healthy = view.get("healthy")
    print_fields(
        [
            ("Queue", text_of(view, "name")),
            ("Description", text_of(view, "description")),
            ("Default", "yes: jobs that name no queue go there" if view.get("default") else ""),
            ("Healthy", "yes" if healthy else "no: no agent that serves it is online"),
            ("Paused", "yes" if view.get("paused") else ""),
            ("Queued", text_of(view, "queued")),
            ("Oldest", duration(view.get("oldest_seconds"))),
            ("Running", text_of(view, "running")),
            ("Agents", names(view.get("agents")) or "none"),
            ("Online", text_of(view, "agents_online")),
            ("Logs kept", duration(view.get("log_retention"))),
            ("Logs at most", size(view.get("log_max_total"))),
            ("Jobs kept", duration(view.get("job_retention"))),
            ("Created", when(view.get("created_at"))),
        ]
    )
