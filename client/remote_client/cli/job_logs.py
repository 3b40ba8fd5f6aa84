"""`remotectl job logs`: what a job printed, of one attempt or over all that follow."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

from remote_client.cli.completed import completed
from remote_client.cli.lines import Lines, last_lines
from remote_client.cli.options import DURATION, Command
from remote_client.cli.output import note, stderr, stdout
from remote_client.cli.session import Session, pass_session
from remote_client.cli.watch import Follower, write_all, write_streams
from remote_client.errors import UsageError
from remote_client.logs import BlockingLog
from remote_client.transport import Document
from remote_protocol import cri


@click.command(cls=Command)
@click.argument("job", shell_complete=completed("jobs"))
@click.option("--follow", "-f", is_flag=True, help="Go on until the job has ended.")
@click.option("--attempt", type=click.IntRange(min=1), help="One attempt; default: the last.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--since", type=DURATION, help="Only what was printed since then, e.g. 10m.")
@click.option("--stream", type=click.Choice(["stdout", "stderr"]), help="Only this one of the two.")
@click.option("--search", metavar="TEXT", help="Only lines that have this, with their numbers.")
@click.option(
    "--lines", metavar="N[-M]", help="Only these lines, with their numbers, as links of pages."
)
@click.option("--timestamps", is_flag=True, help="Time and stream before each line, on stdout.")
@pass_session
def logs(
    session: Session,
    job: str,
    follow: bool,
    attempt: int | None,
    tail: int | None,
    since: float | None,
    stream: str | None,
    search: str | None,
    lines: str | None,
    timestamps: bool,
) -> int:
    """What a job printed: stdout to stdout, stderr to stderr, byte for byte.

    With --follow it goes on over all further attempts of the job; with --attempt only that one is
    shown. Jobs without a first attempt say why they wait.

    \b
    Examples:
      remotectl job logs -f @last
      remotectl job logs --tail 20 --timestamps @last
      remotectl job logs --search error @last || echo none
      remotectl job logs --lines 1-20 @last
      remotectl job logs --stream stderr --since 10m --attempt 1 nightly
    """
    if search is not None or lines is not None:
        if (
            follow
            or timestamps
            or tail is not None
            or since is not None
            or None
            not in (
                search,
                lines,
            )
        ):
            raise UsageError(
                "--search and --lines go with --attempt and --stream only, and not together"
            )
        return _numbered(session, session.job_id(job), attempt, stream, search, lines)
    identity = session.job_id(job)
    write = _writer(stream, since, timestamps)
    calls = session.calls
    offset = 0
    if tail is not None:
        log = last_lines(lambda at: calls.log(identity, attempt=attempt, offset=at), tail, stream)
        attempt_shown, offset = log.attempt, log.offset
    else:
        attempt_shown = attempt
    if not follow:
        log = calls.log(identity, attempt=attempt_shown, offset=offset)
        if not _copy(log, write) and not offset:
            _say_why_not(session, identity, attempt)
        return 0
    follower = Follower(calls, calls.job(identity))
    for piece in follower.pieces(attempt_shown, offset, only=attempt is not None):
        write.feed(piece)
    write.end()
    if attempt is None:
        follower.say_how_it_ended()
    return 0


def _numbered(
    session: Session,
    job: str,
    attempt: int | None,
    stream: str | None,
    search: str | None,
    lines: str | None,
) -> int:
    from remote_client.cli.log_search import line_range, show_lines, show_matches

    if lines is None:
        return show_matches(session, job, attempt, stream, search or "")
    show_lines(session, job, attempt, stream, *line_range(lines))
    return 0


def _copy(log: BlockingLog, write: Lines) -> bool:
    """Write it out; whether there was anything."""
    some = False
    for piece in log:
        some = some or bool(piece)
        write.feed(piece)
    write.end()
    return some


def _say_why_not(session: Session, identity: str, attempt: int | None) -> None:
    """Of what was never started; a job that ran and printed nothing is as it should be."""
    job = session.calls.job(identity)
    number = attempt or job.get("attempt")
    attempts: list[Document] = job.get("attempts") or []
    shown: Document = next((one for one in attempts if one.get("number") == number), {})
    if number and shown.get("end_reason") not in ("spawn_error", "secret_missing"):
        if not shown or shown.get("started_at"):
            return
    why = job.get("pending_reason") or shown.get("end_detail") or job.get("end_detail")
    note(f"{identity} has not printed anything: it is {job['state']}" + (f": {why}" if why else ""))


def _writer(stream: str | None, since: float | None, timestamps: bool) -> Lines:
    earliest = None if since is None else _stamp(time.time() - since)

    def plain(piece: bytes) -> None:
        if stream is None:
            write_streams(piece)
            return
        target = stdout() if stream == "stdout" else stderr()
        if target is not None:
            write_all(target, cri.decode(piece, stream.encode()))

    def stamped(line: bytes) -> None:
        write_all(stdout(), line)

    show: Callable[[bytes], None] = stamped if timestamps else plain
    return Lines(show, joined=timestamps, only=stream, earliest=earliest)


def _stamp(moment: float) -> str:
    """A Unix time as logs have it (RFC 3339, UTC, nine digits): texts of it compare as times."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    return f"{whole}.{int(moment % 1 * 1e9):09}Z"
