"""The start order of a shim: what the job's kind wants run, its environment and limits. Pure."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from pydantic_core import to_json

from remote_agent.config import Config
from remote_agent.planning.engine import Engine
from remote_agent.planning.paths import JobPaths
from remote_agent.planning.secret_values import plain_variables, secret_variables
from remote_agent.planning.work import Work
from remote_agent.processes import (
    HAS_FIFOS,
    TEMPORARY_NAMES,
    Account,
    child_env,
    inherited_env,
)
from remote_agent.processes.python import environment_programs
from remote_agent.shim.layout import ARTIFACTS, MASK_FILE, OUTPUTS, TEMPORARY
from remote_agent.shim.order import MASK, MIN_SEGMENTS, unusual
from remote_protocol.messages import Offer
from remote_protocol.spec import JobSpec
from remote_protocol.trace import VARIABLE, traceparent_for

LEAST_ABSENCE: Final = 3.0
"""Seconds; a shorter absence of the server cannot be told from a pause between two heartbeats."""
AS_GIVEN: Final = {
    "grace_period": "grace",
    "stop_signal": "stop_signal",
    "memory_limit": "memory_limit",
    "cpu_weight": "cpu_weight",
    "io_weight": "io_weight",
    "keep_processes": "keep_processes",
    "stdin": "stdin",
    "secret_files": "secret_files",
    "merge_output": "merge",
}
"""Fields of a job that stand in its order as they are, and their names there; a test sees that both
have the same default."""
_AS_GIVEN: Final = frozenset(AS_GIVEN)
_AS_PLANNED: Final = ("workload", "options", "payload", "filter")
"""What a planner wants that stands in the order as it is."""
_planned: Final = attrgetter(*_AS_PLANNED)
_MOSTLY_PLANNED: Final = _planned(Work([]))
_WEIGHED: Final = frozenset({"memory_limit", "cpu_weight", "io_weight"})
_DEMANDING: Final = frozenset({"mask", "secret_files"})
"""What not every host can do."""
_MASKED: Final = frozenset({"secrets", "relay", "mask"})
_N = TypeVar("_N", int, float)
_DEFAULT_CPU_WEIGHT: Final = 100
_NICE_STEP: Final = 1.25
"""One step of nice is worth a quarter of processor time (sched(7))."""


@dataclass(frozen=True)
class HostContext:
    """What a start order takes from the host."""

    agent: str
    """The agent's name."""
    environ: Mapping[str, str]
    """Its environment."""
    cgroup: str | None = None
    """Folder of a group delegated to it."""
    umask: int = 0o022
    """With which it was started."""
    secret_prefix: str = ""
    """How paths begin of folders for secrets that jobs get as files; empty: it has no place in
    memory."""
    engine: Engine | None = None
    """What runs containers; None: nothing does."""

    @cached_property
    def inherited(self) -> dict[str, str]:
        """What its jobs have of its environment: the same for all of them."""
        return inherited_env(self.environ)


class Terms(NamedTuple):
    """What the orders of all jobs have in common, until the configuration is read again."""

    host: HostContext
    same: dict[str, Any]
    """Fields that every order has."""
    max_timeout: float | None
    max_log: int | None
    others: dict[str, Any]
    """Fields of the orders of other users' jobs."""


def terms_of(config: Config, host: HostContext) -> Terms:
    """Those of jobs on this host."""
    limits, jobs = config.limits, config.jobs
    same = {
        "segment_size": config.logs.segment_size,
        "segments": segments_allowed(config.logs.segments),
        "max_artifacts": limits.max_artifacts,
        "reserve": limits.min_free_disk // 2,
        "sync": config.agent.durability == "full",
        "umask": host.umask if jobs.umask is None else jobs.umask,
    }
    others = {
        "exclusive_user": jobs.user_range is not None,
        "no_new_privileges": jobs.no_new_privileges,
    }
    return Terms(host, unusual(same), limits.max_timeout, limits.max_job_log, others)


def make_order(
    offer: Offer, work: Work, paths: JobPaths, terms: Terms, user: Account | None = None
) -> dict[str, Any]:
    """The start order of an offer whose job has its files at `paths` and is `user`'s; None: the
    agent's own user's. It has the fields of an `Order` that are not as they are for most jobs."""
    spec, key, host = offer.spec, offer.attempt, terms.host
    # Only what the job was given: a model's fields are slow to read, and most jobs have few.
    given = spec.model_fields_set
    if not given.isdisjoint(_DEMANDING):
        _check_host(spec, host)
    home, work_dir = paths.folder, paths.work_dir
    cwd = spec.cwd if "cwd" in given else None
    order: dict[str, Any] = {
        "key": str(key),
        "argv": work.argv,
        "env": child_env(
            host.inherited if work.inherits else {},
            venv_variables(work.venv, host.inherited),
            _of_user(home, user if work.inherits else None),
            {VARIABLE: traceparent_for(*key, spec.traceparent if "traceparent" in given else None)},
            plain_variables(spec) if "env" in given else {},
            {
                "REMOTE_JOB_ID": key.job,
                "REMOTE_ATTEMPT": str(key.number),
                "REMOTE_QUEUE": spec.queue,
                "REMOTE_AGENT": host.agent,
                "REMOTE_WORK_DIR": work_dir,
                "REMOTE_OUTPUTS": f"{home}{os.sep}{OUTPUTS}",
                "REMOTE_ARTIFACTS": f"{home}{os.sep}{ARTIFACTS}",
            },
        ),
        "cwd": work_dir if cwd is None else str(Path(work_dir) / cwd),
        **terms.same,
    }
    if (planned := _planned(work)) != _MOSTLY_PLANNED:
        order |= zip(_AS_PLANNED, planned, strict=True)
    if work.payload_secrets:
        order["payload_secrets"] = list(work.payload_secrets)
    if paths.apart:
        order["home"] = home
    if user is not None:
        order |= {"uid": user.uid, "gid": user.gid, "groups": list(user.groups), **terms.others}
    _limit(order, spec, given, terms)
    if work.secrets or not given.isdisjoint(_MASKED):
        _mask(order, spec, work, paths, host)
    for name in given & _AS_GIVEN:
        order[AS_GIVEN[name]] = getattr(spec, name)
    if "private_input" in given:
        order["private_input"] = spec.private_input is not False
    return order


def _check_host(spec: JobSpec, host: HostContext) -> None:
    if not HAS_FIFOS and spec.mask:
        raise ValueError(
            "jobs cannot add values to be masked (mask, REMOTE_MASK) on Windows; submit it without "
            "mask, or to agents on other systems"
        )
    if not host.secret_prefix and spec.secret_files:
        raise ValueError(
            "secrets cannot be given as files here, for want of a file system in memory: a "
            "writable /dev/shm or, where jobs run as the agent's user, $XDG_RUNTIME_DIR on tmpfs; "
            "take them as variables, or choose other agents by labels"
        )


def _limit(order: dict[str, Any], spec: JobSpec, given: Set[str], terms: Terms) -> None:
    """What the job may use, by its own wish and its host's."""
    if "timeout" in given or terms.max_timeout is not None:
        order["timeout"] = _lower(spec.timeout, terms.max_timeout)
    if "max_log" in given or terms.max_log is not None:
        order["max_log"] = _lower(spec.max_log, terms.max_log)
    if "on_disconnect" in given:
        order["stop_after"] = _tolerable(spec.on_disconnect.stop_after)
    if not given.isdisjoint(_WEIGHED):
        cgroup = terms.host.cgroup
        weighed = spec.memory_limit or spec.cpu_weight or spec.io_weight
        order["cgroup"] = cgroup if weighed else None
        order["nice"] = nice_of(spec.cpu_weight) if cgroup is None else 0


def _mask(
    order: dict[str, Any], spec: JobSpec, work: Work, paths: JobPaths, host: HostContext
) -> None:
    """What a job with secrets needs, or one that names values to be masked."""
    if not (work.secrets or spec.secrets or spec.relay or spec.mask):
        return
    order["secrets"] = [*work.secrets, *secret_variables(spec, work.payload_secrets)]
    if spec.secret_files:
        order["secret_prefix"] = host.secret_prefix
    order["filter"] = work.filter or MASK
    if HAS_FIFOS:
        order["mask_file"] = order["env"]["REMOTE_MASK"] = paths.of(MASK_FILE)


def encoded(value: Any) -> bytes:
    """JSON of a start order, quickly."""
    try:
        return to_json(value)
    except ValueError:
        # A variable or a path with bytes that are no text: Python writes them as it reads them.
        return json.dumps(value, separators=(",", ":")).encode()


def venv_variables(venv: str | None, inherited: Mapping[str, str]) -> dict[str, str]:
    """What programs in a virtual environment have in theirs, as if it were activated."""
    if venv is None:
        return {}
    programs = environment_programs(venv)
    path = os.pathsep.join(filter(None, (programs, inherited.get("PATH"))))
    return {"VIRTUAL_ENV": venv, "PATH": path}


def _of_user(home: str, user: Account | None) -> dict[str, str]:
    """What a job's environment says of its user, and of the folder for what is temporary: in
    `home`, its own."""
    temporary = dict.fromkeys(TEMPORARY_NAMES, f"{home}{os.sep}{TEMPORARY}")
    if user is None:
        return temporary
    return {
        **temporary,
        "HOME": user.home or home,
        "USER": user.name,
        "LOGNAME": user.name,
        "SHELL": user.shell,
    }


def segments_allowed(kept: int) -> int:
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


def _tolerable(wanted: float | None) -> float | None:
    return None if wanted is None else max(LEAST_ABSENCE, wanted)


def _lower(wanted: _N | None, limit: _N | None) -> _N | None:
    if wanted is None or limit is None:
        return limit if wanted is None else wanted
    return min(wanted, limit)
