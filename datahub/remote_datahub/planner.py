"""How an agent runs a recipe: by the program `program`, in an environment with acryl-datahub. Reads
this package's files.

The recipe, without its secrets, is the job's payload; the secrets that it names come before it on
the same pipe, and are no variables.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from remote_agent.config import Config
from remote_agent.planning import python
from remote_agent.planning.engine import Engine
from remote_agent.planning.kinds import EXTENSION_FILE
from remote_agent.planning.paths import JobPaths
from remote_agent.planning.work import Work, WorkFile, work_file
from remote_agent.processes.python import python_command
from remote_agent.shim.layout import NEVER_BEGUN
from remote_datahub.recipe import Recipe, RecipeError, parse, plugins_of
from remote_datahub.spec import DatahubSpec, references
from remote_protocol.spec import PythonSpec

PACKAGE: Final = "acryl-datahub"
VERSION: Final = "1.7.0.17"
"""What the tests run; an agent may be set to another one: `[python] versions`."""
_PROGRAM: Final = "program.py"


def plan(spec: DatahubSpec, paths: JobPaths, config: Config, engine: Engine | None = None) -> Work:
    """What runs a recipe. NotAllowed when its environment cannot be had here."""
    program = paths.of(EXTENSION_FILE)
    files = (
        *(work_file(file) for file in spec.files),
        WorkFile(EXTENSION_FILE, _program(), 0o600, own=True),
    )
    secrets = payload_secrets(spec)
    try:
        recipe = parse(spec.recipe)
    except RecipeError as error:
        # No other agent can run it either: its first process says so, and that it never began.
        interpreter = python_command(None, config.python.interpreter)
        work = Work([*interpreter, "-I", program], files)
        work = work._replace(options={NEVER_BEGUN: paths.of(python.FAILURE)})
        return work._replace(payload=_line({"fault": f"{error}."}), payload_secrets=secrets)
    ready = spec.environment is not None
    python_spec = PythonSpec(
        module=_PROGRAM.removesuffix(".py"),
        environment=spec.environment,
        requirements=[] if ready else _requirements(spec, recipe, config),
    )
    work = python.plan(python_spec, paths, config)
    # In place of the module stands the program, which lies beside the job's files.
    argv, options = [*work.argv[:-2], program], {NEVER_BEGUN: paths.of(python.FAILURE)}
    work = work._replace(argv=argv, files=(*files, *work.files), options=options)
    return work._replace(payload=_line(_envelope(spec)), payload_secrets=secrets)


def _requirements(spec: DatahubSpec, recipe: Recipe, config: Config) -> list[str]:
    version = spec.version or config.python.versions.get(PACKAGE, VERSION)
    plugins = spec.plugins or plugins_of(recipe)
    extras = f"[{','.join(plugins)}]" if plugins else ""
    return sorted({f"{PACKAGE}{extras}=={version}", *spec.requirements})


def payload_secrets(spec: DatahubSpec) -> tuple[str, ...]:
    """The secrets that the recipe is given, and that are no variables of the job."""
    named = set(references(spec.recipe))
    return tuple(name for name in spec.secrets if name in named and name not in spec.secret_files)


def _envelope(spec: DatahubSpec) -> dict[str, Any]:
    """What the program is told; DataHub's own command line takes the same."""
    return {
        "__recipe_yaml__": spec.recipe,
        "__debug_mode__": "true" if spec.debug else "false",
        "task": spec.task,
        "masked": [name for name in spec.secrets if name not in spec.secret_files],
    }


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode() + b"\n"


@cache
def _program() -> bytes:
    return Path(__file__).with_name(_PROGRAM).read_bytes()
