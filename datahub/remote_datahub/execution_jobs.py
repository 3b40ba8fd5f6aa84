"""The job that an execution request of DataHub's asks for. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from remote_datahub.requests import ExecutionRequest, recipe_of
from remote_datahub.spec import DatahubSpec
from remote_protocol.limits import MAX_NAME

WEIGHT: Final = "EXECUTOR_TASK_WEIGHT"
MEMORY: Final = "EXECUTOR_TASK_MEMORY_LIMIT"
EXECUTION: Final = "datahub.exec_id"
"""The annotation by which lists find the job of an execution."""
HOSTS_OWN: Final = ("native", "bundled")
"""Versions that name an environment of the host instead of one to be made."""
_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LEAST_KB: Final = 1024
_MOST_KB: Final = 1e12
_KB: Final = 1024
"""Bytes of a KB, as `ulimit` counts them, which DataHub sets by it."""


def spec_of(request: ExecutionRequest) -> DatahubSpec:
    """The job. ValueError when the recipe is none, ValidationError when something else of it is
    nothing that a job may have."""
    recipe, args, exec_id = recipe_of(request), request.args, str(request.exec_id)
    env = {name: text for name, text in args.extra_env_vars.items() if name not in (WEIGHT, MEMORY)}
    wanted: dict[str, Any] = {
        "kind": "datahub",
        "name": _name(recipe, request),
        "recipe": json.dumps(recipe, ensure_ascii=False),
        "task": request.name,
        "plugins": args.extra_pip_plugins,
        "requirements": args.extra_pip_requirements,
        "debug": args.debug_mode,
        "env": env,
        "secrets": _secrets(env),
        "idempotency_key": exec_id,
        "annotations": {EXECUTION: exec_id[:MAX_NAME]},
        **_limits(args.extra_env_vars),
    }
    if request.executor_id is not None:
        wanted["queue"] = request.executor_id
    version = args.version.strip()
    if version in HOSTS_OWN:
        wanted["environment"] = version
    elif version not in ("", "latest"):
        wanted["version"] = version
    return DatahubSpec.model_validate(wanted)


def _name(recipe: Mapping[str, Any], request: ExecutionRequest) -> str:
    """What lists call the job: the recipe's pipeline, or its source."""
    pipeline = recipe.get("pipeline_name")
    if isinstance(pipeline, str) and pipeline:
        name = pipeline.removeprefix("urn:li:dataHubIngestionSource:")
    else:
        name = f"{request.name} {recipe['source']['type']}"
    return name.replace("\0", "")[:MAX_NAME]


def _secrets(env: Mapping[str, str]) -> list[str]:
    """The secrets that variables refer to."""
    found = dict.fromkeys(name for text in env.values() for name in _REFERENCE.findall(text))
    return [name for name in found if name not in env]


def _limits(env: Mapping[str, str]) -> dict[str, Any]:
    """What DataHub's users set for each source among the variables. ValueError."""
    found: dict[str, Any] = {}
    if (weight := env.get(WEIGHT)) is not None:
        found["weight"] = _number(WEIGHT, weight, "a number above 0, up to 1", (0.0, 1.0))
    if (memory := env.get(MEMORY)) is not None:
        bounds = (_LEAST_KB - 1.0, _MOST_KB)
        found["memory_limit"] = (
            int(_number(MEMORY, memory, "a number of KB, from 1024", bounds)) * _KB
        )
    return found


def _number(name: str, text: str, what: str, bounds: tuple[float, float]) -> float:
    """A number above the first bound, up to the second."""
    above, most = bounds
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not above < found <= most:
        raise ValueError(f"{name} in extra_env_vars is {what}, not {text[:20]!r}")
    return found
