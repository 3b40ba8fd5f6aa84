"""How to start a shim's interpreter: a command line and its environment. Touches nothing.

A shim starts with `-I -S`: no site-packages scan, no user paths, no PYTHON* variables, so it is
up in a few milliseconds and sees nothing of the job's environment. A binary starts its own unpacked
program with `_shim` as the first argument; its command line hands the rest to `shim.__main__.main`
before it imports anything heavy.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import remote_agent
import remote_protocol

FROZEN_ROLE = "_shim"
"""First argument by which a frozen agent knows that it is to be a shim."""


def shim_command(*arguments: str) -> list[str]:
    """Command line of a shim process with these arguments (see `shim.__main__`)."""
    if getattr(sys, "frozen", False):
        return [sys.executable, FROZEN_ROLE, *arguments]
    ours = Path(remote_agent.__file__).resolve().parent
    shared = Path(remote_protocol.__file__).resolve().parent.parent
    script = ours / "shim" / "__main__.py"
    return [sys.executable, "-I", "-S", str(script), f"--path={shared}", *arguments]


def run_again(arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    """Become this program anew, with other arguments and environment. OSError.

    Returns on Windows: no process becomes another there, and none can read another's environment.
    """
    if sys.platform != "win32":
        os.execve(sys.executable, list(arguments), dict(environ))


def shim_environment(
    environ: Mapping[str, str], hidden: Collection[str] = frozenset()
) -> dict[str, str]:
    """Environment for a shim process: the given one without the agent's own settings, and without
    the `hidden` variables, which are secrets: processes of the same user can read it."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith("REMOTE_AGENT_") and name not in hidden
    }
