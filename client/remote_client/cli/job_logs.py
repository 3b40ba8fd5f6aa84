"""`remotectl job logs`: what a job printed."""

from __future__ import annotations

from collections.abc import Iterator

import click

from remote_client.cli.options import Command
from remote_client.cli.output import stdout
from remote_client.cli.session import Session, pass_session
from remote_client.cli.watch import write_all, write_streams
from remote_protocol import cri


@click.command(cls=Command)
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
    for piece in session.calls.log(identity, attempt=attempt, follow=follow):
        if timestamps:
            write_all(stdout(), b"".join(_stamped(piece)))
        else:
            write_streams(piece)


def _stamped(piece: bytes) -> Iterator[bytes]:
    for record in cri.records(piece):
        yield f"{record.time} {record.stream} ".encode() + record.data.removesuffix(b"\n") + b"\n"
