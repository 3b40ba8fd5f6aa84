"""`remotectl run`: submit a job, stream its output live, end with its exit code."""

from __future__ import annotations

import base64
import os
import shlex
import stat
from pathlib import Path
from typing import Final

import click
from pydantic import ValidationError

from remote_client.cli.interrupts import INTERRUPTED, Interrupts
from remote_client.cli.output import drop_stdout, note, output_option, print_json
from remote_client.cli.session import Session, pass_session
from remote_client.cli.watch import Watch
from remote_client.client import Client
from remote_client.errors import ClientError, Unreachable, UsageError, faults
from remote_protocol.api import JobView
from remote_protocol.spec import JobSpec

UNREAD: Final = 141
"""128 + SIGPIPE, as of any program in a pipe whose reader has gone: the job's end is not known."""
_EPILOG = """\b
Exit code: the job's own; 124 timeout; 125 it could not be run, expired or was lost;
130 cancelled; 137 memory limit; 141 nobody reads the output any more (| head).
\b
Ctrl-C cancels the job, a second one leaves at once.
\b
Examples:
  remotectl run -- python3 -m compileall src
  remotectl run --queue berlin --label gpu=true --timeout 1h -- ./train.sh
  remotectl run --file report.sql --file conf/prod.toml:conf.toml -- psql -f report.sql
  remotectl run --shell bash -- 'for i in 1 2 3; do echo $i; sleep 1; done'
  remotectl run --detach --output json -- backup --full | jq -r .id
"""


@click.command(epilog=_EPILOG, context_settings={"allow_interspersed_args": False})
@click.option(
    "--queue",
    envvar="REMOTE_QUEUE",
    default="default",
    show_default=True,
    metavar="Q",
    help="Where it waits for an agent. [env: REMOTE_QUEUE]",
)
@click.option("--name", help="A name for people.")
@click.option(
    "--env", "-e", "env", multiple=True, metavar="K[=V]", help="Environment; without =V, ours."
)
@click.option("--label", multiple=True, metavar="K=V", help="A label that the agent must have.")
@click.option("--timeout", metavar="D", help="End it after so long, e.g. 10m.")
@click.option("--grace-period", metavar="D", help="Between polite signal and kill (default 10s).")
@click.option("--memory", metavar="SIZE", help="Kill it above so much memory, e.g. 512MiB.")
@click.option("--weight", type=float, help="Share of the agent's capacity, up to 1.0 (alone).")
@click.option("--priority", type=int, default=0, help="Higher goes first.")
@click.option("--max-attempts", type=int, default=1, show_default=True, help="Attempts in all.")
@click.option(
    "--retry-on", multiple=True, metavar="REASON", help="End reason to retry (default lost)."
)
@click.option("--expires-in", metavar="D", help="Give up when it has not started by then.")
@click.option("--cwd", metavar="DIR", help="Directory on the agent's host.")
@click.option(
    "--file", "files", multiple=True, metavar="LOCAL[:REMOTE]", help="File for the work directory."
)
@click.option("--shell", metavar="PROGRAM", help="Run COMMAND, joined by spaces, by this shell.")
@click.option("--detach", is_flag=True, help="Print the job's id and return.")
@click.option(
    "--cancel-on-broken-pipe",
    is_flag=True,
    envvar="REMOTE_CANCEL_ON_BROKEN_PIPE",
    help="Cancel it when nobody reads the output any more (| head), instead of leaving it. "
    "[env: REMOTE_CANCEL_ON_BROKEN_PIPE]",
)
@output_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@pass_session
def run(
    session: Session,
    /,
    detach: bool,
    cancel_on_broken_pipe: bool,
    output: str,
    **options: object,
) -> int:
    """Run COMMAND on an agent and stream what it prints.

    Its stdout comes to stdout and its stderr to stderr, byte for byte, while it runs. Options
    behind the first word of COMMAND are COMMAND's own.
    """
    spec = _spec(options)
    interrupts = Interrupts(session.client)
    job = _submit(session.client, spec, interrupts)
    if job is None:
        return INTERRUPTED
    if not detach or interrupts.wished:
        return _watch(session.client, job, _title(spec), cancel_on_broken_pipe)
    if output == "json":
        print_json(job)
    else:
        click.echo(job.id)
    return 0


def _submit(client: Client, spec: JobSpec, interrupts: Interrupts) -> JobView | None:
    """The job as the server has it, None when the user changed their mind before it was sent."""
    try:
        interrupts.install()
        job = client.submit(spec, sending=interrupts.sending)
    except KeyboardInterrupt:
        note("interrupted before anything was sent: no job was submitted")
        return None
    except Unreachable as error:
        if interrupts.sent:
            raise Unreachable(
                f"{error}\nThe server may have got the job all the same; see: remotectl job list"
            ) from None
        raise
    interrupts.submitted(job.id)
    return job


def _watch(client: Client, job: JobView, title: str, cancel_on_broken_pipe: bool) -> int:
    """Follow the job; whatever keeps us from it, say what becomes of the job."""
    try:
        return Watch(client, job, title).run()
    except BrokenPipeError:
        if cancel_on_broken_pipe:
            note(f"nobody reads its output any more: cancelling {job.id}")
            client.cancel(job.id, "nobody reads the output of remotectl run", patient=True)
        else:
            note(f"nobody reads its output any more; {_left(job)}")
        drop_stdout()
        return UNREAD
    except (ClientError, OSError):
        note(_left(job))
        raise


def _left(job: JobView) -> str:
    return (
        f"{job.id} is left to itself; read on with: remotectl job logs -f {job.id}; "
        f"end it with: remotectl job cancel {job.id}"
    )


def _spec(options: dict[str, object]) -> JobSpec:
    names = {"memory": "memory_limit", "label": "labels"}
    fields = {
        names.get(key, key): value for key, value in options.items() if value not in (None, ())
    }
    fields["command"] = list(options["command"])  # type: ignore[call-overload]
    if "env" in fields:
        fields["env"] = dict(_variable(text) for text in options["env"])  # type: ignore[attr-defined]
    if "labels" in fields:
        fields["labels"] = dict(_pair(text, "--label") for text in options["label"])  # type: ignore[attr-defined]
    if "files" in fields:
        fields["files"] = [_file(text) for text in options["files"]]  # type: ignore[attr-defined]
    if "retry_on" in fields:
        fields["retry_on"] = list(options["retry_on"])  # type: ignore[call-overload]
    try:
        return JobSpec.model_validate(fields)
    except ValidationError as error:
        raise UsageError("\n  ".join(["The job is not valid:", *faults(error)])) from None


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if equals:
        return name, value
    if name not in os.environ:
        raise UsageError(f"--env {name}: no such variable is set here; write --env {name}=VALUE")
    return name, os.environ[name]


def _pair(text: str, option: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"{option} {text!r} is not KEY=VALUE")
    return key, value


def _file(text: str) -> dict[str, object]:
    local, _, remote = text.partition(":")
    path = Path(local)
    try:
        data, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        raise UsageError(f"--file {local}: {error.strerror}") from None
    executable = 0o700 if mode & stat.S_IXUSR else 0o600
    return {
        "path": remote or path.name,
        "content": base64.b64encode(data).decode(),
        "mode": executable,
    }


def _title(spec: JobSpec) -> str:
    if spec.name:
        return spec.name
    text = shlex.join(spec.command)
    return text if len(text) <= 60 else text[:57] + "…"
