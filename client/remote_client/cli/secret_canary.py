"""`remotectl secret canary`: a made-up secret shows whether any channel gives secrets away."""

from __future__ import annotations

import json
import secrets
from contextlib import suppress

import click

from remote_client.canary import MASK, Canary, Channel, is_proven, judged, lines_of
from remote_client.cli.completed import completed
from remote_client.cli.options import DURATION, NAME, Look, output_option
from remote_client.cli.output import note, print_json, text_of
from remote_client.cli.session import Session, pass_session
from remote_client.cli.table import Column, print_list
from remote_client.errors import ClientError
from remote_client.transport import Document
from remote_protocol import cri

_COLUMNS = (
    Column("CHANNEL", lambda item: text_of(item, "channel")),
    Column("RESULT", lambda item: text_of(item, "result")),
)


@click.command("canary")
@click.option(
    "--queue",
    type=NAME,
    shell_complete=completed("queues"),
    help="The queue whose agents are tried; default: the server's default queue.",
)
@click.option(
    "--agent", type=NAME, shell_complete=completed("agents"), help="Only this agent is tried."
)
@click.option(
    "--timeout",
    type=DURATION,
    default=120.0,
    show_default="2m",
    help="How long its job may wait and run.",
)
@output_option
@pass_session
def canary(
    session: Session, queue: str | None, agent: str | None, timeout: float, output: str
) -> None:
    """Prove that secrets are masked: with one that is made up, and deleted afterwards.

    A job of the queue writes it in many forms to its log, its outputs and the name of an artifact.
    Then the log, and what the API says of the job, is searched for it. `masked`: it was written
    there and cannot be read; `clean`: it is not there. Exit code 1 when it can be read anywhere, or
    was not written everywhere. Needs sh and base64 on the agent's host, and an admin's token.

    \b
    Examples:
      remotectl secret canary
      remotectl secret canary --queue berlin --output json
    """
    made = Canary(f"CANARY_{secrets.token_hex(4).upper()}", secrets.token_hex(16))
    session.calls.put(
        "secrets", made.name, {"value": made.value} | ({} if queue is None else {"queues": [queue]})
    )
    try:
        job, channels = _tried(session, made, queue, agent, timeout)
    finally:
        session.calls.delete("secrets", made.name)
    rows = [{"channel": one.name, "result": one.result} for one in channels]
    if output == "json":
        print_json({"secret": made.name, "job": job["id"], "channels": rows})
    else:
        print_list({"items": rows}, _COLUMNS, Look(output), "Nothing was tried")
    if is_proven(channels):
        note(f"the secret {made.name} is readable nowhere (job {job['id']}); it is deleted")
        return
    what = [f"{one.name}: {one.result}" for one in channels if not is_proven([one])]
    raise ClientError(
        f"secrets of this queue are not safe everywhere: {', '.join(what)}; look at the job "
        f"{job['id']} on agent {job['agent']}, whose secret {made.name} is deleted"
    )


def _tried(
    session: Session, made: Canary, queue: str | None, agent: str | None, timeout: float
) -> tuple[Document, list[Channel]]:
    calls = session.calls
    spec: Document = {
        "name": "canary", "shell": "sh", "script": made.script,
        "secrets": [made.name], "timeout": timeout, "expires_in": timeout,
    }  # fmt: skip
    if queue is not None:
        spec["queue"] = queue
    if agent is not None:
        spec["agent"] = agent
    job = calls.submit(spec)
    try:
        job = calls.wait(job["id"], timeout=2 * timeout)
    except BaseException:
        with suppress(ClientError):
            calls.cancel(job["id"], "the canary was given up")
        raise
    if job["state"] != "succeeded":
        raise ClientError(
            f"the canary's job {job['id']} did not succeed: {job.get('end_detail')}; nothing is "
            "known of its queue"
        )
    log = b"".join(calls.log(job["id"]))
    lines = lines_of(cri.decode(log, cri.STDOUT).decode(errors="replace"))
    written = {
        **{f"stdout, {word}": text for word, text in lines.items()},
        "stderr": cri.decode(log, cri.STDERR).decode(errors="replace"),
        "outputs": str(calls.outputs(job["id"])),
        "artifacts' names": _names(calls.artifacts(job["id"])),
    }
    documents = {
        "the log as stored": log.decode(errors="replace"),
        "job": job,
        "list of jobs": calls.page("jobs", id=job["id"]),
        "timeline": calls.timeline(job["id"]),
        "secrets": calls.every("secrets"),
        "audit": calls.page("audit", limit=100),
    }
    return job, judged(made, written, documents)


def _names(artifacts: Document) -> str:
    """What is told of artifacts' names: one that holds a secret is left out, and said to be."""
    said = json.dumps(artifacts, ensure_ascii=False)
    return said + (MASK if "holds a secret" in str(artifacts.get("warning")) else "")
