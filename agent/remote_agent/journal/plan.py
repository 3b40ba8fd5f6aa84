"""From an offer to the start order of its shim: the job's command, environment and limits. Pure
but for the account's home directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeVar

from remote_agent.config import Config
from remote_agent.processes import child_env, script_command, script_name, split_shell
from remote_agent.session.events import Key
from remote_agent.shim.layout import ARTIFACTS, OUTPUTS, SCRIPT, WORK
from remote_agent.shim.order import MIN_SEGMENTS, Order
from remote_protocol.messages import Offer

LEAST_ABSENCE: Final = 3.0
"""Seconds; a shorter absence of the server cannot be told from a pause between two heartbeats."""
_N = TypeVar("_N", int, float)
_DEFAULT_CPU_WEIGHT: Final = 100
_NICE_STEP: Final = 1.25
"""One step of nice is worth a quarter of processor time (sched(7))."""


def work_directory(directory: Path, work_root: Path | None) -> Path:
    """Where an attempt's job works: below the configured folder, else in its own directory."""
    return directory / WORK if work_root is None else work_root / directory.name


def make_order(
    offer: Offer,
    directory: Path,
    config: Config,
    agent: str,
    environ: Mapping[str, str],
    cgroup: str | None = None,
) -> Order:
    """The start order of an offer that is kept in `directory`.

    `environ` is the agent's own environment, `cgroup` the folder of a group delegated to it.
    """
    spec = offer.spec
    work = work_directory(directory, config.agent.work_dir)
    argv = list(spec.command)
    if spec.shell is not None:
        shell = split_shell(spec.shell)
        argv = [*script_command(shell, str(directory / script_name(shell, SCRIPT))), *spec.args]
    weights = (spec.cpu_weight, spec.io_weight)
    return Order(
        key=str(Key(offer.job, offer.attempt)),
        argv=argv,
        env=child_env(
            environ,
            spec.env,
            {
                "REMOTE_JOB_ID": offer.job,
                "REMOTE_ATTEMPT": str(offer.attempt),
                "REMOTE_QUEUE": spec.queue,
                "REMOTE_AGENT": agent,
                "REMOTE_WORK_DIR": str(work),
                "REMOTE_OUTPUTS": str(directory / OUTPUTS),
                "REMOTE_ARTIFACTS": str(directory / ARTIFACTS),
            },
        ),
        cwd=str(work) if spec.cwd is None else str(work / spec.cwd),
        timeout=_lower(spec.timeout, config.limits.max_timeout),
        grace=spec.grace_period,
        stop_after=_bearable(spec.on_disconnect.stop_after),
        stop_signal=spec.stop_signal,
        memory_limit=spec.memory_limit,
        nice=nice_of(spec.cpu_weight) if cgroup is None else 0,
        cgroup=cgroup if spec.memory_limit or any(weights) else None,
        cpu_weight=spec.cpu_weight,
        io_weight=spec.io_weight,
        max_log=_lower(spec.max_log, config.limits.max_job_log),
        segment_size=config.logs.segment_size,
        segments=backlog(config.logs.segments),
        reserve=config.limits.min_free_disk // 2,
        keep_processes=spec.keep_processes,
        stdin=spec.stdin,
        merge=spec.merge_output,
        sync=config.agent.durability == "full",
    )


def backlog(kept: int) -> int:
    """Closed segments that may lie there before the job's output waits.

    Twice those that are kept as local copy: with less, the shim would stop and wait for the
    uploader at every segment of a flood.
    """
    return max(MIN_SEGMENTS, 2 * kept)


def nice_of(cpu_weight: int | None) -> int:
    """The nice value nearest to a weight as in cgroup v2; 100 is 0, and none is above it."""
    nice, weight = 0, float(_DEFAULT_CPU_WEIGHT)
    while cpu_weight is not None and nice < 19 and weight / _NICE_STEP >= cpu_weight:
        weight /= _NICE_STEP
        nice += 1
    return nice


def _bearable(wanted: float | None) -> float | None:
    return None if wanted is None else max(LEAST_ABSENCE, wanted)


def _lower(wanted: _N | None, limit: _N | None) -> _N | None:
    given = [value for value in (wanted, limit) if value is not None]
    return min(given) if given else None
