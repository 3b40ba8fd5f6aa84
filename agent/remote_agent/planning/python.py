"""Jobs of the kind `python`: a program for Python, in an environment with what it requires.

Without requirements the interpreter starts at once. With some, the job's first process is the
program `environment`, which prepares the environment and becomes the job: so it is within the
job's limits, its output is in the job's log, and it has the job's user. With a bundle the program
`unpacking` comes before. Reads this package's files.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any, Final

from remote_agent.config import Config
from remote_agent.planning.engine import Engine
from remote_agent.planning.paths import JobPaths
from remote_agent.planning.work import Interpreter, NotAllowed, Work, WorkFile, work_file
from remote_agent.processes.forked import FORKS_JOBS
from remote_agent.processes.python import (
    PREPARES_ENVIRONMENTS,
    environment_programs,
    python_command,
)
from remote_agent.shim.layout import ENTER, NEVER_BEGUN, SOCKET, WORDS
from remote_protocol.limits import MAX_BUNDLE, MAX_BUNDLE_FILES
from remote_protocol.spec import PythonSpec

ENVIRONMENTS: Final = "environments"
"""The folder of prepared environments, in the state directory or in the folder of a job's user."""
INTERPRETERS: Final = "interpreters"
"""The folder of warm interpreters' sockets, in the state directory."""
_PROGRAM: Final = "environment.py"
_SETTINGS: Final = "environment.json"
FAILURE: Final = "environment.failed"
"""Where a program says why its job never began (`NEVER_BEGUN`)."""
_UNPACKING: Final = "unpacking.py"
_BUNDLE_SETTINGS: Final = "unpacking.json"
_BUNDLE: Final = "bundle.zip"
OWN_FILES: Final = (
    *(_PROGRAM, _SETTINGS, FAILURE),
    *(_UNPACKING, _BUNDLE_SETTINGS, _BUNDLE),
)
"""Names that it may use in a job's own folder."""


def plan(spec: PythonSpec, paths: JobPaths, config: Config, engine: Engine | None = None) -> Work:
    """What runs a Python program. NotAllowed when its environment cannot be prepared here."""
    files = tuple(work_file(file) for file in spec.files)
    words = ["-u", *spec.words]
    if spec.script is not None:
        files = (*files, WorkFile(spec.filename, spec.script.encode(), 0o600))
        # By its whole path: the job may have another working directory.
        words[1] = str(paths.work / spec.filename)
    if spec.entry is not None:
        words[1] = str(paths.work.joinpath(*spec.entry.split("/")))
    venv = None
    if spec.environment is not None:
        venv = _prepared(spec.environment, config)
        interpreter = [os.path.join(environment_programs(venv), "python")]
    else:
        interpreter = python_command(spec.python, config.python.interpreter)
    wheel = spec.bundle is not None and spec.bundle.form == "wheel"
    prepares = bool(spec.requirements) or wheel
    if not (prepares or spec.bundle):
        work = Work([*interpreter, *words], files, venv=venv)
        return _forked(work, spec, words[1:], config) if _may_fork(spec, config) else work
    if not PREPARES_ENVIRONMENTS:
        raise NotAllowed(
            "agents on Windows prepare no environments for Python jobs, and unpack no bundles; "
            "leave requirements and bundle out, or have an agent on Linux or macOS run it"
        )
    program = words[1:]
    if prepares:
        files = (*files, *_own(_PROGRAM, _SETTINGS, _settings(spec, paths, config)))
        words = ["-I", paths.of(_PROGRAM), *words]
    if spec.bundle is not None:
        settings = _bundle_settings(paths, unpacked=not wheel)
        bundle = WorkFile(_BUNDLE, b"", 0o600, own=True, content=spec.bundle.ref)
        files = (*files, *_own(_UNPACKING, _BUNDLE_SETTINGS, settings), bundle)
        words = ["-I", paths.of(_UNPACKING), *words]
    options = {NEVER_BEGUN: paths.of(FAILURE)}
    work = Work([*interpreter, *words], files, options=options, venv=venv)
    if spec.bundle is not None or not _may_fork(spec, config):
        return work
    settings = _settings(spec, paths, config)
    del settings["failure"]  # it is this job's own
    return _forked(work, spec, program, config, settings)


def _own(program: str, name: str, settings: dict[str, Any]) -> tuple[WorkFile, WorkFile]:
    """A program that runs before the job's own, and what it has to know."""
    return (
        WorkFile(program, _program(program), 0o600, own=True),
        WorkFile(name, json.dumps(settings).encode(), 0o600, own=True),
    )


def _bundle_settings(paths: JobPaths, *, unpacked: bool) -> dict[str, Any]:
    """What the program `unpacking` has to know."""
    return {
        "archive": paths.of(_BUNDLE),
        "target": paths.work_dir if unpacked else None,
        "failure": paths.of(FAILURE),
        "most_bytes": MAX_BUNDLE,
        "most_files": MAX_BUNDLE_FILES,
    }


def _prepared(name: str, config: Config) -> str:
    """The folder of the environment that this host calls so."""
    known = config.python.environments
    if name in known:
        return str(known[name])
    have = f"it has {', '.join(sorted(known))}" if known else "it has none"
    raise NotAllowed(
        f"this agent has no environment {name!r}: {have} ([python] environments of its "
        "configuration)"
    )


def _may_fork(spec: PythonSpec, config: Config) -> bool:
    """Whether a warm interpreter may fork the job. Not when its processes are another user's, are
    to outlive it, or when it has settings of the interpreter itself, which are read at its start.
    """
    return (
        bool(spec.preload)
        and FORKS_JOBS
        and config.python.warm > 0
        and not config.jobs.separate
        and not spec.keep_processes
        and not any(name.startswith("PYTHON") and name not in spec.preload_env for name in spec.env)
    )


def _forked(
    work: Work,
    spec: PythonSpec,
    words: list[str],
    config: Config,
    settings: dict[str, Any] | None = None,
) -> Work:
    """The same, forked from an interpreter with the job's modules. Its command stays: by that it
    is started when it cannot be forked."""
    variables = {name: spec.env[name] for name in sorted(spec.preload_env) if name in spec.env}
    python, modules = work.argv[0], tuple(spec.preload)
    said = json.dumps([python, modules, variables, work.venv, settings]).encode()
    name = hashlib.sha256(said).hexdigest()[:32]
    return work._replace(
        workload="forked",
        options={
            **work.options,
            SOCKET: str(config.state_dir / INTERPRETERS / name),
            WORDS: words,
            **({} if settings is None else {ENTER: True}),
        },
        interpreter=Interpreter(name, python, modules, variables, work.venv, settings),
    )


def interpreter_program() -> dict[str, bytes]:
    """The files of the program of warm interpreters, which is the first one."""
    names = ("interpreter.py", "keeper.py")
    return {name: Path(__file__).with_name(name).read_bytes() for name in names}


def _settings(spec: PythonSpec, paths: JobPaths, config: Config) -> dict[str, Any]:
    """What the program `environment` has to know."""
    python = config.python
    # A user who is only this job shares with nobody: what another could have written there would
    # run as him.
    alone = config.jobs.user_range is not None
    bundle = spec.bundle
    wheel: dict[str, Any] = {}
    if bundle is not None and bundle.form == "wheel":
        about = {"file": paths.of(_BUNDLE), "name": bundle.name, "digest": bundle.digest}
        wheel = {"wheel": about}
    return {
        **wheel,
        "folder": paths.of(ENVIRONMENTS) if alone else str(config.state_dir / ENVIRONMENTS),
        "failure": paths.of(FAILURE),
        "requirements": spec.requirements,
        "index_url": python.index_url,
        "find_links": None if python.find_links is None else str(python.find_links),
        "netrc": None if python.netrc is None else str(python.netrc),
        "offline": python.offline,
    }


def environment_program() -> bytes:
    """The program that prepares environments, and enters them."""
    return _program(_PROGRAM)


@cache
def _program(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()
