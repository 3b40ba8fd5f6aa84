"""Jobs of the kind `python`: a program for Python, in an environment with what it requires.

Without requirements the interpreter starts at once. With some, the job's first process is the
program `environment`, which prepares the environment and becomes the job: so it is within the
job's limits, its output is in the job's log, and it has the job's user. Reads this package's files.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from remote_agent.config import Config
from remote_agent.planning.engine import Engine
from remote_agent.planning.paths import JobPaths
from remote_agent.planning.work import NotAllowed, Work, WorkFile
from remote_agent.processes.python import PREPARES_ENVIRONMENTS, python_command
from remote_agent.shim.layout import NEVER_BEGUN
from remote_protocol.spec import PythonSpec

ENVIRONMENTS: Final = "environments"
"""The folder of prepared environments, in the state directory or in the folder of a job's user."""
_PROGRAM: Final = "environment.py"
_SETTINGS: Final = "environment.json"
_FAILURE: Final = "environment.failed"
OWN_FILES: Final = (_PROGRAM, _SETTINGS, _FAILURE)
"""Names that it may use in a job's own folder."""


def plan(spec: PythonSpec, paths: JobPaths, config: Config, engine: Engine | None = None) -> Work:
    """What runs a Python program. NotAllowed when its environment cannot be prepared here."""
    files = tuple(WorkFile(file.path, file.data, file.mode) for file in spec.files)
    words = ["-u", *spec.words]
    if spec.script is not None:
        files = (*files, WorkFile(spec.filename, spec.script.encode(), 0o600))
        # By its whole path: the job may have another working directory.
        words[1] = str(paths.work / spec.filename)
    interpreter = python_command(spec.python, config.python.interpreter)
    if not spec.requirements:
        return Work([*interpreter, *words], files)
    if not PREPARES_ENVIRONMENTS:
        raise NotAllowed(
            "agents on Windows prepare no environments for Python jobs; leave the requirements "
            "out, or have an agent on Linux or macOS run it"
        )
    settings = json.dumps(_settings(spec, paths, config)).encode()
    own = (
        WorkFile(_PROGRAM, _program(), 0o600, own=True),
        WorkFile(_SETTINGS, settings, 0o600, own=True),
    )
    argv = [*interpreter, "-I", paths.of(_PROGRAM), *words]
    return Work(argv, (*files, *own), options={NEVER_BEGUN: paths.of(_FAILURE)})


def _settings(spec: PythonSpec, paths: JobPaths, config: Config) -> dict[str, Any]:
    """What the program `environment` has to know."""
    python = config.python
    # A user who is only this job shares with nobody: what another could have written there would
    # run as him.
    alone = config.jobs.user_range is not None
    return {
        "folder": paths.of(ENVIRONMENTS) if alone else str(config.state_dir / ENVIRONMENTS),
        "failure": paths.of(_FAILURE),
        "requirements": spec.requirements,
        "index_url": python.index_url,
        "find_links": None if python.find_links is None else str(python.find_links),
        "netrc": None if python.netrc is None else str(python.netrc),
        "offline": python.offline,
    }


@cache
def _program() -> bytes:
    return Path(__file__).with_name(_PROGRAM).read_bytes()
