"""`remotectl job artifacts`: list and fetch the files that jobs gave back. Writes files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from remote_client.artifact_files import ArtifactFile, FileRefused
from remote_client.cli.completed import completed
from remote_client.cli.options import Group, Look, list_options
from remote_client.cli.output import note, one_line, say, size, text_of
from remote_client.cli.session import Session, pass_session
from remote_client.cli.table import Column, print_list
from remote_client.errors import ClientError
from remote_client.transport import Document


@click.group(cls=Group)
def artifacts() -> None:
    """List and fetch the files that a job gave back.

    \b
    Examples:
      remotectl job artifacts list @last
      remotectl job artifacts get @last --dir results
    """


def _attempt(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--attempt", type=click.IntRange(min=1), metavar="N", help="Of this attempt; else the last."
    )(command)


@artifacts.command("list")
@click.argument("job", shell_complete=completed("jobs"))
@_attempt
@list_options
@pass_session
def list_artifacts(session: Session, /, job: str, attempt: int | None, look: Look) -> None:
    """The files that a job gave back, and how far they have come.

    \b
    Example:
      remotectl job artifacts list @last
    """
    found = session.calls.artifacts(session.job_id(job), attempt)
    print_list(found, _COLUMNS, look, "It gave no files back.", "name")
    if look.output != "json":
        _warn(found)


_COLUMNS = (
    Column("NAME", lambda item: one_line(str(item["name"])), cut=12),
    Column("SIZE", lambda item: size(item.get("size")) or "0 B"),
    Column("STATE", lambda item: str(item["state"])),
    Column("SHA256", lambda item: text_of(item, "sha256"), wide=True),
    Column("REMARK", lambda item: text_of(item, "reason"), cut=20, drop=1),
)


@artifacts.command("get")
@click.argument("job", shell_complete=completed("jobs"))
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--dir",
    "folder",
    default=".",
    metavar="D",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to put them; made when it is missing.",
)
@_attempt
@pass_session
def get(
    session: Session, /, job: str, names: tuple[str, ...], folder: Path, attempt: int | None
) -> int:
    """Fetch files that a job gave back: all of them, or those named.

    What is there already is never overwritten. A fetch that broke off goes on where it was, and
    each file is compared with its checksum before it gets its name. Ends with 1 when one of them
    could not be had.

    \b
    Examples:
      remotectl job artifacts get @last --dir results
      remotectl job artifacts get @last report/index.html
    """
    number = session.job_id(job)
    found = session.calls.artifacts(number, attempt)
    items = [item for item in found["items"] if not names or item["name"] in names]
    failed = 0
    for missing in sorted(set(names) - {str(item["name"]) for item in items}):
        failed += 1
        note(f"job {number} has no artifact {missing!r}")
    for item in items:
        try:
            _fetch(session, number, int(found["attempt"]), item, folder)
        except (FileRefused, ClientError) as error:
            failed += 1
            note(f"{item['name']}: {error}")
    if not names:
        _warn(found)
        failed += not found["complete"]
        if not items and found["complete"]:
            note(f"job {number} gave no files back")
    return 1 if failed else 0


def _fetch(session: Session, job: str, attempt: int, item: Document, folder: Path) -> None:
    name = str(item["name"])
    if item["state"] != "complete":
        raise FileRefused(
            text_of(item, "reason") or "it is still being uploaded; try again in a moment"
        )
    file = ArtifactFile(folder, name, int(item["size"]), str(item["sha256"]))
    if file.there():
        note(f"{name} is there already")
        return
    with file.part() as part:
        if part.offset < file.size:
            for piece in session.calls.artifact(job, name, attempt, part.offset):
                part.write(piece)
    file.finish()
    say(one_line(str(file.path)))


def _warn(found: Document) -> None:
    if found.get("warning"):
        note(str(found["warning"]))
    left = int(found["expected"]) - len(found["items"])
    if left > 0:
        note(f"{left} more of its files have not begun to come; try again in a moment")
