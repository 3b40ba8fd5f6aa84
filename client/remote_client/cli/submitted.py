"""A job that a command submits: sent once, followed to its end, and what becomes of it when that is
not possible. Calls the API, prints.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

import click

from remote_client.cli.interrupts import INTERRUPTED, Interrupts
from remote_client.cli.job_spec import flag
from remote_client.cli.output import drop_stdout, note, print_json, say
from remote_client.cli.session import Session
from remote_client.cli.stdin import Stdin
from remote_client.cli.watch import Watch
from remote_client.errors import ApiError, ClientError, Unreachable, UsageError
from remote_client.transport import Document

OURS: Final = 255
"""When `remotectl` itself failed, as ssh does: no exit code of a usual program."""
UNREAD: Final = 141
"""128 + SIGPIPE, as of any program in a pipe whose reader has gone: the job's end is not known."""


def run_job(
    session: Session,
    spec: Document,
    title: str,
    *,
    detach: bool,
    cancel_on_broken_pipe: bool,
    output: str,
) -> int:
    """Submit a job without an input, and follow it to its end unless `detach`; the exit code."""
    interrupts = Interrupts(session)
    job = submit(session, spec, interrupts)
    if job is None:
        return INTERRUPTED
    if not detach or interrupts.requested:
        return watch(session, job, Ending(title, cancel_on_broken_pipe, asks_for_json(), None))
    if output == "json":
        print_json(job)
    else:
        say(job["id"])
    return 0


def asks_for_json() -> bool:
    """Whether this very call says so: REMOTE_OUTPUT alone leaves stdout to the job."""
    context = click.get_current_context()
    source = context.get_parameter_source("output")
    said = source is click.core.ParameterSource.COMMANDLINE
    return said and context.params["output"] == "json"


def submit(session: Session, spec: Document, interrupts: Interrupts) -> Document | None:
    """The job as the server has it, None when the user changed their mind before it was sent."""
    try:
        interrupts.install()
        job = session.calls.submit(
            spec, sending=interrupts.sending, traceparent=os.environ.get("TRACEPARENT")
        )
    except KeyboardInterrupt:
        note("interrupted before anything was sent: no job was submitted")
        return None
    except Unreachable as error:
        if interrupts.sent:
            raise Unreachable(
                f"{error}\nThe server may have got the job all the same; see: remotectl job list"
            ) from None
        raise
    except ApiError as error:
        raise as_usage(error) from None
    interrupts.submitted(job["id"])
    return job


def as_usage(error: ApiError) -> ClientError:
    """The faults of a job under the names that they have here; any other refusal as it is."""
    if error.code != "validation" or not error.faults:
        return error
    lines = [f"{flag(field)}: {words}" for field, words in error.faults]
    return UsageError("\n  ".join(["The job is not valid:", *lines]))


class Ending(NamedTuple):
    """What the end of a job leads to."""

    title: str
    cancel_on_broken_pipe: bool
    as_json: bool
    stdin: Stdin | None


def watch(session: Session, job: Document, ending: Ending) -> int:
    """Follow the job; whatever keeps us from it, say what becomes of the job."""
    try:
        watch = Watch(session.calls, job, ending.title, aside=ending.as_json)
        code = watch.run()
        if ending.as_json:
            print_json(watch.job)
        return code
    except BrokenPipeError:
        if ending.cancel_on_broken_pipe:
            note(f"nobody reads its output any more: cancelling {job['id']}")
            reason = "nobody reads the output of remotectl run"
            session.calls.cancel(job["id"], reason, persistent=True)
        else:
            note(f"nobody reads its output any more; {_left(job, ending.stdin)}")
        drop_stdout()
        return UNREAD
    except (ClientError, OSError):
        note(_left(job, ending.stdin))
        raise


def _left(job: Document, stdin: Stdin | None) -> str:
    if stdin is not None and stdin.breaks_off:
        return (
            f"the input of {job['id']} breaks off with that: the server cancels it after a while, "
            f"unless it ends before; see: remotectl job show {job['id']}"
        )
    return (
        f"{job['id']} is left to itself; read on with: remotectl job logs -f {job['id']}; "
        f"end it with: remotectl job cancel {job['id']}"
    )
