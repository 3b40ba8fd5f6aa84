"""What a shim runs: the protocol between an attempt and the thing that runs its job. Pure.

The attempt decides when (limits, messages, grace periods) and keeps output and record; a workload
knows how: it starts the job with the pipes that it is given, ends it, and accounts for it. One
runs processes (`workload.process`), one calls the command line of a container engine
(`workload.container`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from remote_agent.processes import ExitStatus, Swept, Usage
from remote_agent.shim.ending import Step


class JobPipes(NamedTuple):
    """The job's ends of its pipes, as `Poller` makes them. `stdin` is None when it is empty,
    `stdout` and `stderr` may be one. `input` is the shim's own end of `stdin`, for whoever must
    keep it from ending with the shim."""

    stdin: int | None
    stdout: int
    stderr: int
    input: int | None = None


class Workload(Protocol):
    """The job of one attempt, from before its start until nothing is left of it.

    Calls come in this order: `start`; while it runs `interrupt`, `kill` and `over_memory`;
    `reap` until it gives the end; then `sweep` or `detach`, `killed_for_memory`, `never_begun`,
    `usage`; `close` at last, also after a failed start.
    """

    @property
    def note(self) -> str:
        """A sentence for the timeline when a limit is enforced less strictly than was asked."""

    @property
    def pid(self) -> int:
        """The process that stands for the job on this host; 0 before it exists."""

    @property
    def peak(self) -> int:
        """The most memory that was seen, in bytes; 0 when nobody looks."""

    @property
    def check_at(self) -> float | None:
        """When `over_memory` wants to be asked, in monotonic seconds; None for never."""

    @property
    def steps(self) -> Sequence[Step]:
        """What it did besides, for the timeline, when the job has ended."""

    def start(self, pipes: JobPipes, env: Mapping[str, str]) -> None:
        """Start the job with this whole environment, secrets included: it must not be kept.

        SpawnFailed with a sentence.
        """

    def identity(self) -> str:
        """What the attempt's start record says about it, so that an agent can find it: fields of
        an object as JSON."""

    def waitable(self) -> int:
        """What a `Poller` takes; it is ready when `reap` is worth a call. Asked for again after
        each `reap` that gave nothing."""

    def reap(self) -> ExitStatus | None:
        """How the job has ended; None when it still runs."""

    def input_closed(self) -> None:
        """The job's input has come to its end."""

    def interrupt(self, signal: str) -> str:
        """Send the polite signal of this name; what was done, in words."""

    def kill(self) -> None:
        """Kill everything of the job at once. Called again each second until it has ended."""

    def over_memory(self, now: float) -> bool:
        """Whether the job takes more memory than its order allows."""

    def sweep(self) -> Swept:
        """End what the job has left behind, after its own end."""

    def detach(self) -> None:
        """Leave alive what the job has left behind, as its order says."""

    def killed_for_memory(self) -> bool:
        """Whether something other than this shim has killed it for its memory limit."""

    def never_begun(self) -> str:
        """Why the job itself never began, though something ran for it; empty when it did."""

    def usage(self) -> Usage:
        """What the job has used, with what was swept."""

    def close(self) -> None:
        """Give everything back."""
