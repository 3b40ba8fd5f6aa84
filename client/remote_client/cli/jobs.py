"""`remotectl job`: look at jobs, read their logs, cancel, retry and wait."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from remote_client.cli.output import (
    between,
    note,
    output_option,
    print_fields,
    print_json,
    print_table,
    when,
)
from remote_client.cli.session import Session, pass_session
from remote_client.cli.watch import exit_code, write_all, write_streams
from remote_protocol import cri
from remote_protocol.api import JobView
from remote_protocol.states import JobState
from remote_protocol.units import format_size, parse_duration


@click.group()
def job() -> None:
    """List jobs, show them, read their logs, cancel, retry, wait.

    An id may be shortened to its beginning.

    \b
    Examples:
      remotectl job list --state running
      remotectl job logs -f 01JD4
    """


@job.command("list")
@click.option(
    "--state", type=click.Choice([state.value for state in JobState]), help="Only in this state."
)
@click.option("--queue", metavar="Q", help="Only of this queue.")
@click.option("--agent", metavar="NAME", help="Only on this agent.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=50,
    show_default=True,
    metavar="N",
    help="How many.",
)
@output_option
@pass_session
def list_jobs(
    session: Session,
    state: str | None,
    queue: str | None,
    agent: str | None,
    limit: int,
    output: str,
) -> None:
    """The newest jobs.

    \b
    Examples:
      remotectl job list --state running
      remotectl job list --queue berlin --output json | jq '.items[].id'
    """
    page = session.client.jobs(limit=limit, state=state, queue=queue, agent=agent)
    if output == "json":
        print_json(page)
        return
    print_table(
        ["ID", "NAME", "STATE", "QUEUE", "AGENT", "EXIT", "CREATED", "RAN", "REMARK"],
        (_row(item) for item in page.items),
        "No jobs match. Start one: remotectl run -- echo hello",
    )
    if page.next_cursor:
        note(f"there are more jobs; --limit shows more than {limit}")


def _row(item: JobView) -> list[str]:
    remark = item.pending_reason or (
        item.end_detail if item.state is not JobState.SUCCEEDED else ""
    )
    return [
        item.id,
        item.name or " ".join(item.command)[:40] or (item.shell or ""),
        item.state.value,
        item.queue,
        item.agent or "",
        "" if item.exit_code is None else str(item.exit_code),
        when(item.created_at),
        between(item.started_at, item.ended_at),
        remark or "",
    ]


@job.command()
@click.argument("job")
@output_option
@pass_session
def show(session: Session, job: str, output: str) -> None:
    """One job: what was asked, what became of it, and its timeline.

    \b
    Example:
      remotectl job show 01JD4
    """
    view = session.client.job(session.job_id(job))
    if output == "json":
        print_json(view)
        return
    usage = view.usage
    print_fields(
        [
            ("Job", view.id),
            ("Name", view.name or ""),
            ("State", view.state.value),
            ("Waits because", view.pending_reason or ""),
            ("Queue", view.queue),
            ("Agent", view.agent or ""),
            ("Command", " ".join(view.command) or f"{view.shell} script"),
            ("Attempt", f"{view.attempt} of {view.max_attempts}"),
            ("Exit code", "" if view.exit_code is None else str(view.exit_code)),
            ("End reason", view.end_reason.value if view.end_reason else ""),
            ("Detail", view.end_detail or ""),
            ("Created", when(view.created_at)),
            ("Started", when(view.started_at)),
            ("Ended", when(view.ended_at)),
            ("Ran", between(view.started_at, view.ended_at)),
            ("CPU", f"{usage.cpu_user + usage.cpu_system:.2f} s" if usage else ""),
            ("Peak memory", format_size(usage.max_rss) if usage and usage.max_rss else ""),
            ("Log", format_size(view.log_size) if view.log_size else ""),
        ]
    )
    entries = session.client.timeline(view.id)
    print_table(
        ["TIME", "WHAT", "ATTEMPT", "BY", "DETAIL"],
        (
            [
                entry.at.astimezone().strftime("%H:%M:%S.%f")[:-3],
                entry.what,
                str(entry.attempt or ""),
                entry.agent or entry.source,
                entry.detail,
            ]
            for entry in entries
        ),
        "No timeline.",
    )


@job.command()
@click.argument("job")
@click.option("--follow", "-f", is_flag=True, help="Go on until the attempt has ended.")
@click.option("--attempt", type=click.IntRange(min=1), help="Another than the last attempt.")
@click.option("--timestamps", is_flag=True, help="Time and stream before each line.")
@pass_session
def logs(session: Session, job: str, follow: bool, attempt: int | None, timestamps: bool) -> None:
    """What a job printed: stdout to stdout, stderr to stderr, byte for byte.

    \b
    Examples:
      remotectl job logs -f 01JD4
      remotectl job logs 01JD4 --timestamps --attempt 1
    """
    identity = session.job_id(job)
    pieces = session.client.stored_log(identity, attempt=attempt, follow=follow)
    for piece in pieces:
        if timestamps:
            write_all(sys.stdout.buffer, b"".join(_stamped(piece)))
        else:
            write_streams(piece)


def _stamped(piece: bytes) -> Iterator[bytes]:
    for record in cri.records(piece):
        yield f"{record.time} {record.stream} ".encode() + record.data.removesuffix(b"\n") + b"\n"


@job.command()
@click.argument("jobs", nargs=-1, required=True)
@click.option("--reason", default="", help="Said on the job's timeline.")
@output_option
@pass_session
def cancel(session: Session, jobs: tuple[str, ...], reason: str, output: str) -> None:
    """End jobs: polite signal, grace period, kill. Waiting ones end at once.

    \b
    Example:
      remotectl job cancel 01JD4 --reason 'wrong input'
    """
    for text in jobs:
        view = session.client.cancel(session.job_id(text), reason)
        if output == "json":
            print_json(view)
        elif view.state is JobState.CANCELLED:
            note(f"{view.id} is cancelled")
        elif view.state.terminal:
            note(f"{view.id} had already ended: {view.state}")
        else:
            note(f"{view.id} is being cancelled on {view.agent}")


@job.command()
@click.argument("job")
@output_option
@pass_session
def retry(session: Session, job: str, output: str) -> None:
    """Submit an ended job once more; prints the new job's id.

    \b
    Examples:
      remotectl job retry 01JD4
      remotectl job logs -f "$(remotectl job retry 01JD4)"
    """
    view = session.client.retry(session.job_id(job))
    if output == "json":
        print_json(view)
    else:
        click.echo(view.id)


@job.command()
@click.argument("job")
@click.option("--timeout", metavar="D", help="Give up after so long (exit code 1).")
@output_option
@pass_session
def wait(session: Session, job: str, timeout: str | None, output: str) -> int:
    """Wait until a job has ended; ends with the exit code that `run` would have.

    \b
    Example:
      remotectl job wait 01JD4 --timeout 10m && echo done
    """
    try:
        seconds = None if timeout is None else parse_duration(timeout)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--timeout") from None
    view = session.client.wait(session.job_id(job), seconds)
    if output == "json":
        print_json(view)
    else:
        note(f"{view.id} {view.state}" + (f": {view.end_detail}" if view.end_detail else ""))
    return exit_code(view)
