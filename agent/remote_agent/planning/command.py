"""Jobs of the kind `command`: a program and its arguments, or a script for a shell. Pure."""

from __future__ import annotations

from typing import Final

from remote_agent.config import Config
from remote_agent.planning.engine import Engine
from remote_agent.planning.paths import JobPaths
from remote_agent.planning.work import Work, WorkFile, work_file
from remote_agent.processes import SCRIPT_ENDINGS, script_command, script_name, split_shell
from remote_agent.shim.layout import SCRIPT
from remote_protocol.spec import CommandSpec

OWN_FILES: Final = tuple(f"{SCRIPT}{ending}" for ending in SCRIPT_ENDINGS)
"""Names that it may use in a job's own folder."""


def plan(spec: CommandSpec, paths: JobPaths, config: Config, engine: Engine | None = None) -> Work:
    """What runs a command."""
    files = tuple(work_file(file) for file in spec.files)
    script = spec.script_text
    if script is None:
        return Work(list(spec.command), files)
    shell = split_shell(spec.shell or "")
    name = script_name(shell, SCRIPT)
    argv = [*script_command(shell, paths.of(name)), *spec.args]
    return Work(argv, (*files, WorkFile(name, script.encode(), 0o700, own=True)))
