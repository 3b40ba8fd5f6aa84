"""How an agent runs a toy: by a program in the job's own folder."""

from __future__ import annotations

from typing import Any

from remote_agent.config import Config
from remote_agent.planning.engine import Engine
from remote_agent.planning.kinds import EXTENSION_FILE
from remote_agent.planning.paths import JobPaths
from remote_agent.planning.work import Work, WorkFile

PROGRAM = """
import os, sys
print(sys.argv[1], "from", os.environ["REMOTE_AGENT"])
with open(os.environ["REMOTE_OUTPUTS"], "a") as file:
    print(f"greeted={sys.argv[1]}", file=file)
"""


def plan(spec: Any, paths: JobPaths, config: Config, engine: Engine | None = None) -> Work:
    """What runs a toy."""
    file = WorkFile(EXTENSION_FILE, PROGRAM.encode(), 0o600, own=True)
    return Work(["python3", paths.of(EXTENSION_FILE), spec.greeting], (file,))
