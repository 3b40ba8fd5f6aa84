"""Which program runs Python jobs, and whether environments can be prepared here. Touches nothing.

Never the agent's own interpreter: a binary has none that others could use.
"""

from __future__ import annotations

import os
import sys
from typing import Final

PREPARES_ENVIRONMENTS: Final = sys.platform != "win32"
"""Whether a process can become another one there, and jobs share a lock (flock(2))."""


def environment_programs(venv: str) -> str:
    """The folder of programs of a virtual environment."""
    return os.path.join(venv, "Scripts" if sys.platform == "win32" else "bin")


def python_command(version: str | None, configured: str | None) -> list[str]:
    """The command of a Python of this version, else of the configured one, else of the host's."""
    if version is None:
        return [configured or ("python" if sys.platform == "win32" else "python3")]
    return ["py", f"-{version}"] if sys.platform == "win32" else [f"python{version}"]
