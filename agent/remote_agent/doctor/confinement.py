"""Static checks of what keeps jobs within bounds: control groups, users of their own, memory.

Reads /sys/fs/cgroup, /proc and the database of users.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from remote_agent.app.bootstrap import group_of
from remote_agent.errors import ConfigError, os_words
from remote_agent.journal.users import Users
from remote_agent.processes import cgroup
from remote_agent.sections import JobsPart
from remote_protocol.report import Check, Finding, Level

CONTROL_GROUPS: Final = Check(
    "control groups",
    Level.STATIC,
    ("cgroup_unusable", "cgroups_switched_off", "no_cgroups", "not_delegated"),
)
SEPARATION: Final = Check("users of jobs", Level.STATIC, ("not_separate", "users_unusable"))
MEMORY: Final = Check("memory", Level.STATIC, ("no_memory_events", "oom_kills"))
_LEAF: Final = "/agent"
"""Where a running agent has moved itself, in its delegated group."""


def own_group(process: str) -> str | None:
    """The folder of the control group that a process was started in; None: unknown."""
    try:
        folder = group_of(process)
    except OSError:
        return None
    return None if folder is None else folder.removesuffix(_LEAF)


def control_groups(wanted: str, own: str | None) -> Finding:
    """Whether the kernel can enforce limits of jobs. `wanted` is `[limits] cgroup`, `own` the
    agent's group."""
    watched = "memory limits of jobs are watched by their shims instead"
    if wanted == "off":
        return CONTROL_GROUPS.skipped("cgroups_switched_off", f"[limits] cgroup is off; {watched}")
    if wanted == "auto":
        if own is None:
            return CONTROL_GROUPS.skipped("no_cgroups", f"no cgroup version 2 here; {watched}")
        folder = cgroup.group_for_jobs(own)
        if folder is None:
            return CONTROL_GROUPS.skipped(
                "not_delegated", f"{own} is not delegated to the agent (Delegate=yes); {watched}"
            )
    else:
        folder = wanted
    if why := _unusable(folder):
        return CONTROL_GROUPS.failed(
            "cgroup_unusable",
            f"the control group {folder} cannot be used",
            f"{why}; {watched}",
            "name a delegated cgroup of version 2 in [limits] cgroup, or leave it at auto",
        )
    controllers = (Path(folder) / "cgroup.controllers").read_text(encoding="ascii").split()
    return CONTROL_GROUPS.passed(
        f"jobs with limits get groups below {folder} ({', '.join(controllers) or 'no controllers'})"
    )


def _unusable(folder: str) -> str:
    """Why no groups can be made in this one; empty when they can."""
    try:
        (Path(folder) / "cgroup.controllers").read_bytes()
    except OSError as error:
        return os_words(error, folder)
    if not os.access(folder, os.W_OK) or not os.access(f"{folder}/cgroup.subtree_control", os.W_OK):
        return "this user may not write there"
    return ""


def separation(jobs: JobsPart) -> Finding:
    """Whether jobs can reach the agent."""
    try:
        users = Users(jobs)
    except ConfigError as error:
        return SEPARATION.failed(
            "users_unusable",
            "the users that [jobs] names cannot be given to jobs",
            str(error),
            "mend [jobs] as it says, or start the agent as root",
        )
    if not users.separate:
        return SEPARATION.skipped(
            "not_separate", "jobs run as the agent's own user, and can reach it; see [jobs] run_as"
        )
    return SEPARATION.passed(f"jobs run as {users.words}")


def memory(own: str | None) -> Finding:
    """Whether the kernel has killed processes of the agent's group for want of memory."""
    kills = None if own is None else _kills(Path(own))
    if kills is None:
        return MEMORY.skipped("no_memory_events", "the agent's control group counts no memory")
    if kills:
        return MEMORY.failed(
            "oom_kills",
            f"the agent's group {own} has run out of memory {kills} times",
            "the kernel ends processes there with SIGKILL: their jobs end with exit code 137",
            "raise the limit of the service or container (MemoryMax=, resources.limits.memory), "
            "give jobs a memory_limit of their own, or lower the agent's capacity",
        )
    return MEMORY.passed("the agent's group has never run out of memory")


def _kills(group: Path) -> int | None:
    # Not what happened in the groups of jobs, whose own limits end them as they should.
    for name in ("memory.events.local", "memory.events"):
        try:
            events = cgroup.parse_flat((group / name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        return max(events.get("oom_kill", 0), events.get("oom", 0) if ".local" in name else 0)
    return None
