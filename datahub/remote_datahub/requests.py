"""What a DataHub control plane asks for, in acryl-executor's own words. Pure.

`ExecutionRequest` and `SignalRequest` are those of acryl-executor 0.3.20, as JSON: same names, same
defaults, and lists and objects may come as JSON inside a text, as DataHub's pages send them. What
it leaves open is bounded here before it is parsed. No fault repeats a value: any of them may be
secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from remote_datahub.recipe import MAX_RECIPE
from remote_protocol.ids import WITHOUT_NUL, IdempotencyKey, Name
from remote_protocol.limits import MAX_COMMAND_SIZE, MAX_NAME, MAX_REQUIREMENTS
from remote_protocol.units import plain_size

MAX_LISTS: Final = 256 * 1024
"""Characters of a list or an object that comes as a text."""
MAX_VARIABLES: Final = 256
_SECRET: Final = re.compile(
    r"passw|passphrase|secret|token|credential|private_?key|api_?key|access_?key", re.IGNORECASE
)
_NO_SECRET: Final = re.compile(r"_(ID|FILE|PATH|NAME|URL|URI|ARN|TTL)$", re.IGNORECASE)
_REFERENCE: Final = re.compile(r"\$\{\w+\}")


class _Asked(BaseModel):
    # acryl-executor takes no notice of fields that it does not know; a value is in no fault.
    model_config = ConfigDict(
        frozen=True, extra="ignore", defer_build=True, hide_input_in_errors=True
    )


def parsed(text: str, most: int, what: str) -> Any:
    """The JSON in a text. ValueError, which repeats nothing of it, when it is none, has more than
    `most` characters, or is deeper than Python follows."""
    if len(text) > most:
        raise ValueError(f"{what} has {plain_size(len(text))}; at most {plain_size(most)} is taken")
    try:
        # As acryl-executor: line ends in strings are no fault.
        return json.loads(text, strict=False, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{what} is not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise ValueError(f"{what} is nested too deeply") from None
    except ValueError:
        raise ValueError(f"{what} has a number that is none, or is too long") from None


def _no_number(_: str) -> object:
    raise ValueError


def _unpacked(value: object) -> object:
    """A list or an object that comes as a text; an empty text is none."""
    if not isinstance(value, str):
        return value
    return parsed(value, MAX_LISTS, "it") if value.strip() else None


def _list(value: object) -> object:
    found = _unpacked(value)
    if isinstance(found, list) and len(found) > MAX_REQUIREMENTS:
        raise ValueError(f"at most {MAX_REQUIREMENTS} are taken, not {len(found)}")
    return [] if found is None else found


def _variables(value: object) -> object:
    """Variables without those that are empty, which acryl-executor leaves out. ValueError for one
    that is a secret in plain text."""
    found = _unpacked(value)
    if found is None:
        return {}
    if not isinstance(found, dict):
        return found
    if len(found) > MAX_VARIABLES:
        raise ValueError(f"at most {MAX_VARIABLES} variables are taken, not {len(found)}")
    given = {name: text for name, text in found.items() if text != ""}
    for name, text in given.items():
        if isinstance(name, str) and isinstance(text, str) and is_secret(name, text):
            raise ValueError(
                f"{name[:MAX_NAME]} looks like a secret in plain text, which would be stored; set "
                f"it as a secret of the server or of the agent's host, and write ${{NAME}} here"
            )
    return given


def _flag(value: object) -> object:
    return value.strip().lower() == "true" if isinstance(value, str) else value


Line = Annotated[str, StringConstraints(min_length=1, max_length=1024), WITHOUT_NUL]


class ExecutionArgs(_Asked):
    """The arguments of RUN_INGEST and TEST_CONNECTION."""

    recipe: Annotated[str, StringConstraints(min_length=2, max_length=MAX_RECIPE)]
    """The recipe as JSON, in a text. `${NAME}` stands for a secret."""
    version: Annotated[str, StringConstraints(max_length=64), WITHOUT_NUL] = "latest"
    """Version of acryl-datahub: `0.14.1`, `latest`; `native` and `bundled` are environments that
    the host has."""
    debug_mode: Annotated[bool, BeforeValidator(_flag)] = Field(
        default=False, validation_alias=AliasChoices("debug_mode", "debugMode")
    )
    """`true` or `false`, also as a text."""
    extra_pip_requirements: Annotated[
        list[Line], Field(max_length=MAX_REQUIREMENTS), BeforeValidator(_list)
    ] = Field(default_factory=list)
    """Further packages; a list, or one as JSON in a text."""
    extra_pip_plugins: Annotated[
        list[Line], Field(max_length=MAX_REQUIREMENTS), BeforeValidator(_list)
    ] = Field(default_factory=list)
    """Further plugins of acryl-datahub, in the same form."""
    extra_env_vars: Annotated[
        dict[
            Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME)],
            Annotated[str, StringConstraints(max_length=MAX_COMMAND_SIZE - 1)],
        ],
        Field(max_length=MAX_VARIABLES),
        BeforeValidator(_variables),
    ] = Field(default_factory=dict)
    """Variables of the ingestion's environment; an object, or one as JSON in a text. `${NAME}`
    stands for a secret. `EXECUTOR_TASK_WEIGHT` and `EXECUTOR_TASK_MEMORY_LIMIT` (in KB) are its
    limits."""


class ExecutionRequest(_Asked):
    """A task to execute (acryl-executor's `ExecutionRequest`)."""

    executor_id: Name | None = None
    """The pool, which is a queue. Default: the server's default queue."""
    exec_id: IdempotencyKey | None = None
    """The id of this execution: the same request with the same id makes one job, another one is
    refused. Default: one that is made."""
    name: Literal["RUN_INGEST", "TEST_CONNECTION"]
    """The task."""
    args: ExecutionArgs

    def identified(self, otherwise: str) -> ExecutionRequest:
        """The same request with an id in any case."""
        return self if self.exec_id else self.model_copy(update={"exec_id": otherwise})


class SignalRequest(_Asked):
    """A signal to an execution (acryl-executor's `SignalRequest`)."""

    exec_id: IdempotencyKey
    """The id of the execution, or the id of its job."""
    executor_id: Name | None = None
    """The pool that it is in; not looked at when it is left out."""
    signal: Literal["KILL"]


def is_secret(name: str, text: str) -> bool:
    """Whether a variable seems to hold a secret itself, not only the names of some."""
    if not _SECRET.search(name) or _NO_SECRET.search(name):
        return False
    return bool(_REFERENCE.sub("", text).strip()) and text.lower() not in ("true", "false")


def recipe_of(request: ExecutionRequest) -> Mapping[str, Any]:
    """The recipe, whose run has the execution's id. ValueError when it is none."""
    found = parsed(request.args.recipe, MAX_RECIPE, "the recipe")
    if not isinstance(found, dict):
        raise ValueError("the recipe is not a JSON object")
    source = found.get("source")
    if not isinstance(source, dict) or not isinstance(source.get("type"), str):
        raise ValueError("the recipe names no source: it needs source.type")
    return {**found, "run_id": request.exec_id}
