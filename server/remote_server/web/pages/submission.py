"""The form of a job, and the specification that it stands for. Pure.

The form has what people set most. A job that is submitted again keeps all else as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import StringConstraints, ValidationError

from remote_protocol.spec import CommandSpec, JobSpec
from remote_protocol.states import EndReason
from remote_server.web.http.problems import faults_of
from remote_server.web.pages.words import given_duration, given_size
from remote_server.web.route import PageForm

LONGEST: Final = 32 * 1024
"""Characters of a text that a form takes back to the browser and brings again."""
REASONS: Final = (
    (EndReason.LOST, "lost with its agent"),
    (EndReason.EXIT, "an exit code other than 0"),
    (EndReason.SIGNAL, "a signal"),
    (EndReason.TIMEOUT, "the timeout"),
    (EndReason.MEMORY_LIMIT, "the memory limit"),
    (EndReason.SPAWN_ERROR, "it could not be started"),
    (EndReason.SECRET_MISSING, "a missing secret"),
)
"""After which another attempt may be made, in words."""
_FIELDS: Final = (
    *("queue", "agent", "name", "cwd", "timeout", "grace_period", "memory_limit", "weight"),
    *("priority", "max_attempts", "expires_in"),
)
"""Fields that are called as in the specification, one line each."""
_NAMED: Final = 8
_OF_RUN: Final = frozenset({"", "command", "script", "args"})
Line = Annotated[str, StringConstraints(max_length=4096)]
Box = Annotated[str, StringConstraints(max_length=LONGEST)]


class JobForm(PageForm):
    """What the form sends, as it was typed."""

    source: Line = ""
    """The id of the job that it repeats."""
    run: Box = ""
    how: Line = "shell"
    """`shell`: a script; `program`: a program and its arguments, one a line."""
    shell: Line = ""
    labels: Box = ""
    env: Box = ""
    queue: Line = ""
    agent: Line = ""
    name: Line = ""
    cwd: Line = ""
    timeout: Line = ""
    grace_period: Line = ""
    memory_limit: Line = ""
    weight: Line = ""
    priority: Line = ""
    max_attempts: Line = ""
    expires_in: Line = ""
    merge_output: Line = ""
    retry_lost: Line = ""
    retry_exit: Line = ""
    retry_signal: Line = ""
    retry_timeout: Line = ""
    retry_memory_limit: Line = ""
    retry_spawn_error: Line = ""
    retry_secret_missing: Line = ""


class FaultyForm(Exception):
    """The form is no job: what is wrong, by field; "" for what is about no field."""

    def __init__(self, faults: dict[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {said}" for name, said in faults.items()))
        self.faults = faults


def empty(queue: str) -> dict[str, str]:
    """The form for a new job."""
    return {"how": "shell", "shell": "sh", "queue": queue, "retry_lost": "on"}


def filled(spec: JobSpec, source: str) -> dict[str, str]:
    """The form for a job that repeats one."""
    given = {"source": source, "how": "program"}
    if isinstance(spec, CommandSpec):
        if spec.shell is not None:
            given |= {"how": "shell", "shell": spec.shell}
        text = spec.script_text
        shown = "\n".join(spec.command) if text is None else text
        given["run"] = shown if _fits(spec) else ""
    given["queue"] = spec.queue
    for name in ("agent", "name", "cwd"):
        given[name] = getattr(spec, name) or ""
    for name in ("timeout", "expires_in", "grace_period"):
        given[name] = given_duration(getattr(spec, name))
    given["memory_limit"] = given_size(spec.memory_limit)
    given["weight"] = "" if spec.weight is None else f"{spec.weight:g}"
    given["priority"] = str(spec.priority) if spec.priority else ""
    given["max_attempts"] = str(spec.max_attempts) if spec.max_attempts > 1 else ""
    given["merge_output"] = "on" if spec.merge_output else ""
    given["labels"] = _lines(spec.labels)
    stays = held(spec)
    given["env"] = _lines({name: spec.env[name] for name in spec.env if name not in stays})
    given |= {f"retry_{reason}": "on" for reason, _ in REASONS if reason in spec.retry_on}
    return given


def held(spec: JobSpec) -> set[str]:
    """Variables that no form can show: they stay as they were unless a line names them."""
    if _size(_lines(spec.env)) > LONGEST:
        return set(spec.env)
    return {name for name, value in spec.env.items() if "\n" in value or "\r" in value}


def kept(spec: JobSpec) -> list[str]:
    """What a job that repeats one keeps without the form's showing it, in words."""
    said = []
    if not _fits(spec):
        said.append("what it runs, which is too long for a form or no plain lines")
    if names := sorted(held(spec)):
        said.append(f"the variables {', '.join(names[:_NAMED])}, which no form can show")
    if spec.files:
        said.append(f"{len(spec.files)} files" if len(spec.files) > 1 else "1 file")
    if isinstance(spec, CommandSpec) and spec.args:
        said.append("the arguments of its script")
    shown = {*_FIELDS, "command", "script", "shell", "args", "env", "labels", "retry_on", "kind"}
    hidden = {"files", "stdin", "private_input", "idempotency_key", "merge_output"}
    more = sorted(set(type(spec).model_fields) - shown - hidden)
    said += [name for name in more if getattr(spec, name) != _default(spec, name)]
    return said


def spec_of(form: JobForm, old: JobSpec | None = None) -> JobSpec:
    """The job. FaultyForm names all that is wrong."""
    faults: dict[str, str] = {}
    values: dict[str, Any] = {} if old is None else _kept_values(old)
    if form.run.strip() or old is None or _fits(old):
        values |= _run(form, old, faults)
    for name in _FIELDS:
        text = str(getattr(form, name)).strip()
        values.pop(name, None)
        if text:
            values[name] = text
    values["merge_output"] = bool(form.merge_output)
    values["labels"] = _pairs(form.labels, "labels", faults)
    env = {} if old is None else {name: old.env[name] for name in held(old)}
    values["env"] = env | _pairs(form.env, "env", faults)
    shown = {reason: getattr(form, f"retry_{reason}") for reason, _ in REASONS}
    wanted = [str(reason) for reason, chosen in shown.items() if chosen]
    wanted += [str(one) for one in (old.retry_on if old is not None else ()) if one not in shown]
    if form.max_attempts.strip() not in ("", "1"):
        values["retry_on"] = wanted
    else:
        values.pop("retry_on", None)
    try:
        spec = JobSpec.model_validate(values)
    except ValidationError as error:
        for name, said in faults_of(error, depth=1):
            faults.setdefault("run" if name in _OF_RUN else name, said)
        spec = None
    if faults or spec is None:
        raise FaultyForm(faults)
    return spec


def _kept_values(old: JobSpec) -> dict[str, Any]:
    values = old.model_dump(exclude_defaults=True) | {"kind": old.kind}
    for name in ("idempotency_key", "stdin", "private_input"):
        values.pop(name, None)
    return values


def _run(form: JobForm, old: JobSpec | None, faults: dict[str, str]) -> dict[str, Any]:
    text = form.run.replace("\r\n", "\n")
    if not text.strip():
        faults["run"] = "say what to run"
    if form.how == "program":
        words = text.strip("\n").split("\n") if text.strip() else []
        return {"command": words, "script": None, "shell": None, "args": []}
    if not form.shell.strip():
        faults["shell"] = "name the shell that reads it, for example sh or bash"
    args = old.args if isinstance(old, CommandSpec) else []
    shell = form.shell.strip() or "sh"
    return {"command": [], "script": text, "shell": shell, "args": args}


def _pairs(text: str, field: str, faults: dict[str, str]) -> dict[str, str]:
    """`NAME=VALUE` lines."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.strip():
            continue
        name, equals, value = line.partition("=")
        if not equals:
            faults.setdefault(field, f"line {number} has no =; write NAME=VALUE")
        elif name.strip() in found:
            faults.setdefault(field, f"line {number} names {name.strip()} again")
        else:
            found[name.strip()] = value
    return found


def _fits(spec: JobSpec) -> bool:
    """Whether the form can show what a job runs."""
    if not isinstance(spec, CommandSpec):
        return False
    if spec.shell is None:
        alone = all("\n" not in word and "\r" not in word for word in spec.command)
        return (
            alone and bool("".join(spec.command[-1:])) and _size("\n".join(spec.command)) <= LONGEST
        )
    text = spec.script_text or ""
    return "\r" not in text and _size(text) <= LONGEST


def _size(text: str) -> int:
    return len(text.encode())


def _lines(pairs: Mapping[str, str]) -> str:
    return "\n".join(f"{key}={value}" for key, value in pairs.items())


def _default(spec: JobSpec, name: str) -> object:
    return type(spec).model_fields[name].get_default(call_default_factory=True, validated_data={})
