"""What to do next, said where something failed. Pure, but for one look at a job's agent."""

from __future__ import annotations

import shlex
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from remote_client.cli.output import ago, moment, when
from remote_client.errors import ClientError

if TYPE_CHECKING:
    from remote_client.calls import Calls
    from remote_client.errors import ApiError
    from remote_client.transport import Document

_BUILTINS: Final = frozenset(
    [
        *(".", "alias", "cd", "eval", "exec", "exit", "export", "set", "shift", "source"),
        *("trap", "type", "ulimit", "umask", "unset", "wait"),
    ]
)
"""Words of shells that are no programs."""
_SYNTAX: Final = frozenset("|&;<>()$`*?~ ")
_LOST_AFTER: Final = 600.0
_CURES: Final = {
    "invalid_token": "log in again: remotectl login",
    "expired_token": "log in with the new one: remotectl login",
    "unknown_queue": "see: remotectl queue list",
}


def hint_for_error(error: ApiError) -> str:
    """What helps when the server refuses with this code; empty for nothing in particular."""
    return _CURES.get(error.code, "")


def hint_for_job(job: Document) -> str:
    """What was probably meant, when a program could not be started; empty for nothing."""
    command = [str(word) for word in job.get("command") or ()]
    if job.get("end_reason") != "spawn_error" or not command or job.get("shell"):
        return ""
    program = command[0]
    if program in _BUILTINS or (set(program) & _SYNTAX and len(command) == 1):
        text = command[0] if len(command) == 1 else shlex.join(command)
        return f"COMMAND is one program; for shell syntax: --shell bash -- {shlex.quote(text)}"
    if "/" in program and not program.startswith("/") and not job.get("cwd"):
        name = program.removeprefix("./")
        return (
            f"{program} is not in the job's work directory, which is empty; send it along: "
            f"--file {shlex.quote(name)}"
        )
    return ""


def agent_is_away(calls: Calls, job: Document) -> str:
    """What a running job's silence means when its agent is away; empty when it is not."""
    name = job.get("agent")
    if not name or job["state"] not in ("assigned", "running"):
        return ""
    try:
        agent = calls.one("agents", name)
    except ClientError:  # deleted meanwhile, or the server is away: that is said elsewhere
        return ""
    if agent.get("state") != "offline":
        return ""
    seen = moment(agent.get("last_seen_at"))
    policy = job.get("on_disconnect") or {}
    lost_after = policy.get("lost_after", _LOST_AFTER)
    lost = ""
    if seen is not None and isinstance(lost_after, int | float) and 0 <= lost_after < 1e9:
        lost = f"; unless it comes back, the job is lost at {when(seen + timedelta(0, lost_after))}"
    return f"its agent {name} is offline, last seen {ago(agent.get('last_seen_at'))}{lost}"
