"""`remotectl queue`: look at queues, make and change them."""

from __future__ import annotations

import click

from remote_client.cli.output import (
    note,
    output_option,
    print_fields,
    print_json,
    print_table,
    when,
)
from remote_client.cli.session import Session, pass_session
from remote_client.errors import UsageError
from remote_protocol.api import QueueChange, QueueCreate, QueueView
from remote_protocol.units import format_duration, format_size, parse_duration, parse_size

_retention = click.option("--log-retention", metavar="D", help="Keep logs of ended jobs so long.")
_jobs = click.option("--job-retention", metavar="D", help="Forget ended jobs after so long.")
_total = click.option("--log-max-total", metavar="SIZE", help="Keep so much of logs; oldest go.")


@click.group()
def queue() -> None:
    """List queues, show, create, edit, pause and delete them.

    \b
    Examples:
      remotectl queue list
      remotectl queue create berlin --description 'hosts in Berlin'
    """


@queue.command("list")
@output_option
@pass_session
def list_queues(session: Session, output: str) -> None:
    """All queues with their load.

    \b
    Example:
      remotectl queue list
    """
    queues = session.client.queue_page()
    if output == "json":
        print_json(queues)
        return
    print_table(
        ["NAME", "HEALTHY", "QUEUED", "RUNNING", "OLDEST", "AGENTS", "DESCRIPTION"],
        (
            [
                item.name,
                ("yes" if item.healthy else "no") + (" (paused)" if item.paused else ""),
                str(item.queued),
                str(item.running),
                "" if item.oldest_seconds is None else format_duration(item.oldest_seconds),
                f"{item.agents_online}/{len(item.agents)}",
                item.description,
            ]
            for item in queues.items
        ),
        "There are no queues. Make one: remotectl queue create NAME",
    )


@queue.command()
@click.argument("name")
@output_option
@pass_session
def show(session: Session, name: str, output: str) -> None:
    """One queue.

    \b
    Example:
      remotectl queue show berlin
    """
    _print(session.client.queue(name), output)


@queue.command()
@click.argument("name")
@click.option("--description", default="", help="What it is for.")
@_retention
@_total
@_jobs
@output_option
@pass_session
def create(
    session: Session,
    name: str,
    description: str,
    log_retention: str | None,
    log_max_total: str | None,
    job_retention: str | None,
    output: str,
) -> None:
    """Make a queue.

    \b
    Example:
      remotectl queue create berlin --description 'hosts in Berlin' --log-retention 30d
    """
    view = session.client.create_queue(
        QueueCreate(
            name=name,
            description=description,
            log_retention=_duration(log_retention),
            log_max_total=_size(log_max_total),
            job_retention=_duration(job_retention),
        )
    )
    _done(view, output, "is made; let agents serve it: remotectl agent set NAME --queue …")


@queue.command()
@click.argument("name")
@click.option("--description", help="What it is for.")
@_retention
@_total
@_jobs
@output_option
@pass_session
def edit(
    session: Session,
    name: str,
    description: str | None,
    log_retention: str | None,
    log_max_total: str | None,
    job_retention: str | None,
    output: str,
) -> None:
    """Change a queue; what is not given stays.

    \b
    Example:
      remotectl queue edit berlin --description 'the new hosts'
    """
    given = {
        "description": description,
        "log_retention": _duration(log_retention),
        "log_max_total": _size(log_max_total),
        "job_retention": _duration(job_retention),
    }
    fields = {key: value for key, value in given.items() if value is not None}
    if not fields:
        raise UsageError(
            "Nothing to change: give --description, --log-retention, --log-max-total or "
            "--job-retention"
        )
    view = session.client.change_queue(name, QueueChange.model_validate(fields))
    _done(view, output, "is changed")


@queue.command()
@click.argument("name")
@output_option
@pass_session
def pause(session: Session, name: str, output: str) -> None:
    """Let its jobs wait, whatever agents there are.

    \b
    Example:
      remotectl queue pause berlin
    """
    _done(session.client.change_queue(name, QueueChange(paused=True)), output, "is paused")


@queue.command()
@click.argument("name")
@output_option
@pass_session
def resume(session: Session, name: str, output: str) -> None:
    """Let its jobs start again.

    \b
    Example:
      remotectl queue resume berlin
    """
    _done(session.client.change_queue(name, QueueChange(paused=False)), output, "runs again")


@queue.command()
@click.argument("name")
@pass_session
def delete(session: Session, name: str) -> None:
    """Remove a queue that no job waits in and no agent serves.

    \b
    Example:
      remotectl queue delete berlin
    """
    session.client.delete_queue(name)
    note(f"queue {name} is deleted")


def _duration(text: str | None) -> float | None:
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _size(text: str | None) -> int | None:
    try:
        return None if text is None else parse_size(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _done(view: QueueView, output: str, words: str) -> None:
    if output == "json":
        print_json(view)
    else:
        note(f"queue {view.name} {words}")


def _print(view: QueueView, output: str) -> None:
    if output == "json":
        print_json(view)
        return
    oldest = view.oldest_seconds
    print_fields(
        [
            ("Queue", view.name),
            ("Description", view.description),
            ("Healthy", "yes" if view.healthy else "no: no agent that serves it is online"),
            ("Paused", "yes" if view.paused else ""),
            ("Queued", str(view.queued)),
            ("Oldest", "" if oldest is None else format_duration(oldest)),
            ("Running", str(view.running)),
            ("Agents", ", ".join(view.agents) or "none"),
            ("Online", str(view.agents_online)),
            ("Logs kept", format_duration(view.log_retention) if view.log_retention else ""),
            ("Logs at most", format_size(view.log_max_total) if view.log_max_total else ""),
            ("Jobs kept", format_duration(view.job_retention) if view.job_retention else ""),
            ("Created", when(view.created_at)),
        ]
    )
