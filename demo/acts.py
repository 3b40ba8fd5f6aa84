"""The three jobs of the demo: what each one runs, how it has to end, and whether it did."""

from __future__ import annotations

import base64
import sys
from dataclasses import dataclass, field
from pathlib import Path

from remote_protocol.api.jobs import JobView
from remote_protocol.spec import CommandSpec, JobFile, JobSpec
from remote_protocol.states import JobState

_WORK = Path(__file__).with_name("work.py")


@dataclass
class Act:
    """One job of the demo: what it runs and how it has to end."""

    name: str
    spec: JobSpec
    state: JobState
    exit_code: int | None
    cancel_after_lines: int | None = None
    lines: int = 0
    job: JobView | None = None
    unread: bool = False
    """Nobody reads the demo's output any more."""
    problems: list[str] = field(default_factory=list)


def acts() -> list[Act]:
    """The three jobs."""
    program = JobFile(path="work.py", content=base64.b64encode(_WORK.read_bytes()).decode())
    packages = [
        "json",
        "email",
        "asyncio",
        "importlib",
        "http",
        "xml",
        "unittest",
        "logging",
        "urllib",
        "html",
        "collections",
        "re",
        "concurrent",
        "ctypes",
        "multiprocessing",
        "sqlite3",
        "idlelib",
        "wsgiref",
        "pydoc_data",
        "zipfile",
        "tomllib",
    ]
    script = (
        "echo 'checking the configuration ...'; sleep 0.3\n"
        "grep -c processor /proc/cpuinfo || true\n"
        "echo 'required setting DATABASE_URL is missing' >&2\n"
        "exit 78  # EX_CONFIG of sysexits.h\n"
    )
    endless = 'i=0; while true; do i=$((i+1)); echo "step $i of 1000000"; sleep 0.05; done'
    return [
        Act(
            "check",
            CommandSpec(
                name="check",
                command=[sys.executable, "work.py", *packages],
                files=[program],
                timeout=120,
            ),
            JobState.SUCCEEDED,
            0,
        ),
        Act("fails", CommandSpec(name="fails", shell="sh", script=script), JobState.FAILED, 78),
        Act(
            "cancelled",
            CommandSpec(name="cancelled", shell="sh", script=endless, grace_period=2),
            JobState.CANCELLED,
            None,
            cancel_after_lines=25,
        ),
    ]


def judge(act: Act) -> None:
    """Note what is not as intended."""
    job = act.job
    if job is None:
        act.problems.append("it has not ended")
        return
    if job.state is not act.state:
        act.problems.append(f"it is {job.state} instead of {act.state}: {job.end_detail}")
    if act.exit_code is not None and job.exit_code != act.exit_code:
        act.problems.append(f"its exit code is {job.exit_code} instead of {act.exit_code}")
    if act.name == "check" and act.lines < 1500:
        act.problems.append(f"it printed {act.lines} lines only")
    if not job.attempts or not job.attempts[-1].log_complete:
        act.problems.append("its log is not complete")
