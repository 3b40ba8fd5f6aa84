"""Processes of the host: the only package that knows on which platform the agent runs.

Standard library only, no asyncio: shims import it. Everything else in the agent asks here.
Linux is complete. Other POSIX systems lack a subreaper, so a daemonised grandchild of a job can
outlive it there, and the launcher's sockets: shims run there as a process for each attempt.
Windows is refused by name until it has a module of its own.
"""

from __future__ import annotations

import sys

from remote_agent.processes.command import shim_command, shim_environment
from remote_agent.processes.environment import child_env
from remote_agent.processes.posix import ExitWatch, SpawnFailed, boottime, spawn

if sys.platform == "linux":
    from remote_agent.processes.linux import (
        adopt_orphans,
        alive,
        boot_id,
        boot_time,
        die_with_parent,
        kill_marked,
        kill_orphans,
        prefer_as_oom_victim,
        start_time,
        strike,
        sweep,
        tree_memory,
        watch_exit,
    )
elif sys.platform == "win32":
    raise ImportError(
        "this version of remote-agent runs on Linux and macOS only; "
        "run the agent in WSL or on another host"
    )
else:
    from remote_agent.processes.posix import (
        adopt_orphans,
        alive,
        boot_id,
        boot_time,
        die_with_parent,
        kill_marked,
        kill_orphans,
        prefer_as_oom_victim,
        start_time,
        strike,
        sweep,
        tree_memory,
        watch_exit,
    )

__all__ = [
    "ExitWatch",
    "SpawnFailed",
    "adopt_orphans",
    "alive",
    "boot_id",
    "boot_time",
    "boottime",
    "child_env",
    "die_with_parent",
    "kill_marked",
    "kill_orphans",
    "prefer_as_oom_victim",
    "shim_command",
    "shim_environment",
    "spawn",
    "start_time",
    "strike",
    "sweep",
    "tree_memory",
    "watch_exit",
]
