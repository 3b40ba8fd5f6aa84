"""`remotectl group`: look at groups of jobs, cancel them, wait for them."""

from __future__ import annotations

from typing import Any

import click

from remote_client.cli.completed import completed
from remote_client.cli.group_watch import exit_code
from remote_client.cli.group_words import MEMBER_COLUMNS, counts_in_words, waits_for
from remote_client.cli.options import Group, Look, list_options, output_option
from remote_client.cli.output import age, note, pairs, print_fields, print_json, say, text_of, when
from remote_client.cli.session import Session, pass_session
from remote_client.cli.table import Column, laid_out, print_list
from remote_client.errors import UsageError
from remote_client.transport import Document

_MOST: int = 1000
"""Members that `show` has."""


@click.group(cls=Group)
def group() -> None:
    """List groups of jobs, show them, cancel them, wait for them.

    A group is made by remotectl run --each: one job on every matching agent. GROUP is its id, or
    @last, the newest one.

    \b
    Examples:
      remotectl group list
      remotectl group show @last
      remotectl job list --group 01KADVTZ7WFFFFFFFFFFFFFFFF --state failed
    """


@group.command("list")
@click.option(
    "--queue", metavar="Q", shell_complete=completed("queues"), help="Only of this queue."
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    metavar="N",
    help="How many.",
)
@list_options
@pass_session
def list_groups(session: Session, /, limit: int, look: Look, **given: Any) -> None:
    """The newest groups.

    \b
    Examples:
      remotectl group list --limit 5
      remotectl group list --output json | jq '.items[].counts'
    """
    filters = {name: value for name, value in given.items() if value is not None}
    page = session.calls.many("groups", limit, filters)
    empty = "No groups match. Start one: remotectl run --each -- uptime"
    print_list(page, _COLUMNS, look, empty, "id")


@group.command("show")
@click.argument("identity", metavar="GROUP")
@output_option
@pass_session
def show(session: Session, /, identity: str, output: str) -> None:
    """A group with its members.

    \b
    Examples:
      remotectl group show @last
    """
    found = session.calls.group(_identity(session, identity), limit=_MOST)
    if output == "json":
        print_json(found)
    else:
        _print(found, output)


@group.command("cancel")
@click.argument("identity", metavar="GROUP")
@click.option("--reason", default="", metavar="TEXT", help="Why; it stands in every job.")
@output_option
@pass_session
def cancel(session: Session, /, identity: str, reason: str, output: str) -> None:
    """Cancel all jobs of a group: none is started any more, those that run are ended.

    \b
    Examples:
      remotectl group cancel @last --reason 'wrong hosts'
    """
    found = session.calls.cancel_group(_identity(session, identity), reason)
    if output == "json":
        print_json(found)
    elif found.get("ended_at"):
        note(f"group {found['id']} had ended before: {counts_in_words(found)}")
    else:
        note(f"group {found['id']} is being cancelled: {counts_in_words(found)}")


@group.command("wait")
@click.argument("identity", metavar="GROUP")
@output_option
@pass_session
def wait(session: Session, /, identity: str, output: str) -> int:
    """Wait until all jobs of a group have ended. Exit code 0: all succeeded; 1: not; 130: it was
    cancelled.

    \b
    Examples:
      remotectl group wait @last
    """
    found = session.calls.wait_for_group(_identity(session, identity))
    if output == "json":
        print_json(found)
    else:
        note(f"group {found['id']} {found['state']}: {counts_in_words(found)}")
    return exit_code(found)


def _identity(session: Session, text: str) -> str:
    """The id of a group. UsageError when there is no newest one."""
    if text != "@last":
        return text.upper()
    newest = session.calls.page("groups", limit=1)["items"]
    if not newest:
        raise UsageError("There is no group yet; start one: remotectl run --each -- uptime")
    return str(newest[0]["id"])


def _limits(found: Document) -> str:
    said = (
        ("at most {} at the same time", found.get("max_parallel")),
        ("halts on failure number {}", found.get("halt_on_failures")),
    )
    return ", ".join(words.format(number) for words, number in said if number)


def _print(found: Document, output: str) -> None:
    select = found.get("select") or {}
    state = text_of(found, "state")
    if waiting := waits_for(found):
        state = f"{state} ({waiting})"
    cancelled = found.get("cancel_requested")
    print_fields(
        [
            ("id", text_of(found, "id")),
            ("name", text_of(found, "name")),
            ("state", state),
            ("jobs", f"{found.get('size')}: {counts_in_words(found)}"),
            ("queue", text_of(found, "queue")),
            ("labels", pairs(select.get("labels"))),
            ("limits", _limits(found)),
            ("halted", when(found.get("halted_at"))),
            ("cancelled", (text_of(found, "cancel_detail") or "yes") if cancelled else ""),
            ("created", when(found.get("created_at"))),
            ("ended", when(found.get("ended_at"))),
        ]
    )
    say("")
    for line in laid_out(found.get("members") or (), MEMBER_COLUMNS, Look(output), None):
        say(line)
    if found.get("next_cursor"):
        note(
            f"these are the first {len(found['members'])} members; for all: remotectl job list "
            f"--group {found['id']} --all"
        )


_COLUMNS = (
    Column("ID", lambda item: text_of(item, "id")),
    Column("STATE", lambda item: text_of(item, "state")),
    Column("NAME", lambda item: text_of(item, "name"), drop=1, cut=12),
    Column("QUEUE", lambda item: text_of(item, "queue"), drop=2),
    Column("JOBS", lambda item: text_of(item, "size")),
    Column("OF WHICH", counts_in_words, cut=20),
    Column("AGE", lambda item: age(item.get("created_at"))),
    Column("LIMITS", _limits, wide=True),
    Column("SUBMITTED BY", lambda item: text_of(item.get("submitted_by") or {}, "name"), wide=True),
)
