"""`remotectl job`: look at jobs, read their logs, cancel, retry and wait."""

from __future__ import annotations

from typing import Any

import click

from remote_client.calls import TERMINAL
from remote_client.cli.completed import completed
from remote_client.cli.hints import agent_is_away, hint_for_job
from remote_client.cli.job_artifacts import artifacts
from remote_client.cli.job_logs import logs
from remote_client.cli.job_outputs import print_output, print_outputs
from remote_client.cli.options import (
    DURATION,
    REASONS,
    Group,
    Look,
    limited,
    list_options,
    output_option,
)
from remote_client.cli.output import (
    age,
    between,
    duration,
    moment,
    note,
    one_line,
    print_fields,
    print_json,
    say,
    size,
    text_of,
    when,
)
from remote_client.cli.python_job import python_title
from remote_client.cli.session import Session, pass_session
from remote_client.cli.table import Column, again_and_again, laid_out, note_more, print_list
from remote_client.cli.watch import exit_code
from remote_client.errors import UsageError
from remote_client.transport import Document
from remote_protocol import extensions

_STATES = ("queued", "assigned", "running", "succeeded", "failed", "cancelled")
SHORT = 8
"""Characters of an id, from its end, that lists on a terminal show: 40 random bits."""


@click.group(cls=Group)
def job() -> None:
    """List jobs, show them, read their logs, cancel, retry, wait.

    JOB is an id or any part of it, the end first, a job's name, or @last.

    \b
    Examples:
      remotectl job list --state running
      remotectl job logs -f @last
    """


job.add_command(logs)
job.add_command(artifacts)


@job.command("list")
@click.option(
    "--state",
    multiple=True,
    type=click.Choice(_STATES),
    help="In this state; may be repeated.",
)
@click.option(
    "--queue", metavar="Q", shell_complete=completed("queues"), help="Only of this queue."
)
@click.option(
    "--agent", metavar="NAME", shell_complete=completed("agents"), help="Only on this agent."
)
@click.option("--group", metavar="GROUP", help="Only members of this group.")
@click.option("--name", metavar="TEXT", help="Only with this text in the name.")
@click.option("--label", multiple=True, metavar="K[=V]", help="Only with this label demanded.")
@click.option("--annotation", multiple=True, metavar="K[=V]", help="Only with this annotation.")
@click.option("--since", metavar="D", help="Submitted since: 2h, or a time with its zone.")
@click.option("--until", metavar="D", help="Submitted before: 2h, or a time with its zone.")
@click.option("--mine", is_flag=True, help="Only submitted with this token.")
@click.option("--submitted-by", metavar="TOKEN", help="Only with the token of this name or id.")
@click.option(
    "--end-reason",
    multiple=True,
    type=click.Choice(REASONS),
    metavar="REASON",
    help=f"Ended for this reason: {', '.join(REASONS)}; may be repeated.",
)
@click.option("--id", "part", metavar="TEXT", help="Only with this text in the id.")
@limited
@click.option("--watch", "-w", is_flag=True, help="Show them again every two seconds.")
@list_options
@pass_session
def list_jobs(session: Session, /, most: int | None, watch: bool, look: Look, **given: Any) -> None:
    """The newest jobs. A list on a terminal shows the end of ids: enough to name a job.

    \b
    Examples:
      remotectl job list --state running --state queued --since 2h
      remotectl job list --end-reason timeout --end-reason lost --since 1h
      remotectl job list --queue berlin --output json | jq '.items[].id'
      remotectl job list --state queued -q | xargs -r remotectl job cancel
    """
    filters = {name: value for name, value in given.items() if value not in (None, (), False)}
    if "part" in filters:
        filters["id"] = filters.pop("part")
    if filters.pop("mine", None):
        if "submitted_by" in filters:
            raise UsageError("--mine contradicts --submitted-by; leave one of them out")
        filters["submitted_by"] = "me"

    def shown() -> None:
        page = session.calls.many_jobs(most, filters)
        empty = "No jobs match. Start one: remotectl run -- echo hello"
        print_list(page, _COLUMNS, look, empty, "id")
        if look.output != "json":
            note_more(page, "jobs", most)

    if watch:
        again_and_again(shown)
    else:
        shown()


def _command(item: Document) -> str:
    """What it is, for people."""
    said = [item["image"]] if item.get("image") else []
    if item.get("kind") == "python":
        said = [python_title(item)]
    if (extension := _of_extension(item)) is not None:
        said = [extension.words(item)]
    words = " ".join(str(word) for word in [*said, *(item.get("command") or ())])
    return str(item.get("name") or words or f"{item.get('shell')} script")


def _of_extension(item: Document) -> Any:
    """What knows the jobs of an extension's kind; None: nobody does."""
    kind = item.get("kind")
    if kind in ("command", "container", "python"):
        return None
    try:
        extension = extensions.find(kind)
        if extension is None or extension.shown is None:
            return None
        return extensions.part(str(kind), extension.shown)
    except extensions.BrokenExtension:
        return None


def _remark(item: Document) -> str:
    detail = item.get("end_detail") if item["state"] != "succeeded" else ""
    return str(item.get("pending_reason") or detail or "")


_COLUMNS = (
    Column("ID", lambda item: str(item["id"]), brief=lambda item: str(item["id"])[-SHORT:]),
    Column("NAME", _command, cut=12),
    Column("STATE", lambda item: str(item["state"])),
    Column("QUEUE", lambda item: text_of(item, "queue"), drop=6),
    Column("AGENT", lambda item: text_of(item, "agent"), drop=3),
    Column("EXIT", lambda item: text_of(item, "exit_code"), drop=4),
    Column("AGE", lambda item: age(item.get("created_at"))),
    Column("CREATED", lambda item: when(item.get("created_at")), wide=True),
    Column("RAN", lambda item: between(item.get("started_at"), item.get("ended_at")), drop=5),
    Column("REMARK", _remark, cut=20, drop=1),
)


@job.command()
@click.argument("job", shell_complete=completed("jobs"))
@click.option("--output-of", "key", metavar="KEY", help="Only the value of this output, as it is.")
@output_option
@pass_session
def show(session: Session, job: str, key: str | None, output: str) -> None:
    """One job: what was asked, what became of it, what it gave back, and its timeline.

    \b
    Examples:
      remotectl job show @last
      version="$(remotectl job show @last --output-of version)" || echo none
    """
    view = session.calls.job(session.job_id(job))
    if key is not None:
        print_output(view, key)
        return
    if output == "json":
        print_json(view)
        return
    usage = view.get("usage") or {}
    cpu = [usage.get(name) for name in ("cpu_user", "cpu_system")]
    used = sum(seconds for seconds in cpu if isinstance(seconds, int | float))
    print_fields(
        [
            ("Job", view["id"]),
            ("Name", text_of(view, "name")),
            ("State", view["state"]),
            ("Waits because", text_of(view, "pending_reason")),
            ("Remark", agent_is_away(session.calls, view) or hint_for_job(view)),
            ("Queue", text_of(view, "queue")),
            ("Agent", text_of(view, "agent")),
            ("Command", _command({**view, "name": None})),
            ("Attempt", f"{view.get('attempt', 0)} of {view.get('max_attempts', 1)}"),
            ("Exit code", text_of(view, "exit_code")),
            ("End reason", text_of(view, "end_reason")),
            ("Detail", text_of(view, "end_detail")),
            ("Submitted by", text_of(view.get("submitted_by") or {}, "name")),
            ("Created", when(view.get("created_at"))),
            ("Started", when(view.get("started_at"))),
            ("Ended", when(view.get("ended_at"))),
            ("Ran", between(view.get("started_at"), view.get("ended_at"))),
            ("CPU", duration(used) if usage else ""),
            ("Peak memory", size(usage.get("max_rss"))),
            ("Log", size(view.get("log_size"))),
            ("Outputs", text_of(view, "outputs_warning")),
            ("Artifacts", _artifacts(view)),
        ]
    )
    print_outputs(view)
    if (extension := _of_extension(view)) is not None:
        extension.print_details(view)
    entries = session.calls.timeline(view["id"])["items"]
    if entries:
        say("")
    for line in laid_out(entries, _TIMELINE, Look(), None) if entries else ():
        say(line)


def _artifacts(view: Document) -> str:
    count = view.get("artifacts")
    return f"{count}: remotectl job artifacts list {view['id']}" if count else ""


def _clock(entry: Document) -> str:
    found = moment(entry.get("at"))
    return found.astimezone().strftime("%H:%M:%S.%f")[:-3] if found else text_of(entry, "at")


_TIMELINE = (
    Column("TIME", _clock),
    Column("WHAT", lambda entry: text_of(entry, "what")),
    Column("ATTEMPT", lambda entry: str(entry.get("attempt") or "")),
    Column("BY", lambda entry: str(entry.get("agent") or entry.get("source") or "")),
    Column("DETAIL", lambda entry: text_of(entry, "detail")),
)


@job.command()
@click.argument("jobs", nargs=-1, required=True, shell_complete=completed("jobs"))
@click.option("--reason", default="", help="Said on the job's timeline.")
@output_option
@pass_session
def cancel(session: Session, jobs: tuple[str, ...], reason: str, output: str) -> None:
    """End jobs: polite signal, grace period, kill. Waiting ones end at once.

    \b
    Example:
      remotectl job cancel @last --reason 'wrong input'
    """
    for text in jobs:
        view = session.calls.cancel(session.job_id(text, newest=False), reason)
        if output == "json":
            print_json(view)
        elif view["state"] == "cancelled":
            note(f"{view['id']} is cancelled")
        elif view["state"] in TERMINAL:
            note(f"{view['id']} had already ended: {view['state']}")
        else:
            note(f"{view['id']} is being cancelled on {view.get('agent')}")


@job.command()
@click.argument("job", shell_complete=completed("jobs"))
@output_option
@pass_session
def retry(session: Session, job: str, output: str) -> None:
    """Submit an ended job once more; prints the new job's id.

    \b
    Examples:
      remotectl job retry @last
      remotectl job logs -f "$(remotectl job retry @last)"
    """
    view = session.calls.retry(session.job_id(job, newest=False))
    if output == "json":
        print_json(view)
    else:
        say(one_line(view["id"]))


@job.command()
@click.argument("job", shell_complete=completed("jobs"))
@click.option("--timeout", type=DURATION, help="Give up after so long (exit code 255).")
@output_option
@pass_session
def wait(session: Session, job: str, timeout: float | None, output: str) -> int:
    """Wait until a job has ended; ends with the exit code that `run` would have.

    \b
    Example:
      remotectl job wait @last --timeout 10m && echo done
    """
    session.failed = 255
    view = session.calls.wait(session.job_id(job), timeout)
    if output == "json":
        print_json(view)
    else:
        detail = f": {view['end_detail']}" if view.get("end_detail") else ""
        note(f"{view['id']} {view['state']}{detail}")
    return exit_code(view)
