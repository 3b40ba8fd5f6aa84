"""Commands of `remotectl` to paste, made of what a page shows. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Final

from remote_protocol.spec import CommandSpec, JobSpec
from remote_protocol.units import format_duration, plain_size

_LINE: Final = 44
"""Characters of a line, if its words allow."""
_LONGEST: Final = 2000
"""Characters of a command that somebody would still paste."""
_RETRIES: Final = ["lost"]


def wrapped(parts: list[str]) -> str:
    """Words of a command on lines that a shell reads as one."""
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) < _LINE:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
    return " \\\n  ".join(lines)


def run_line(
    spec: JobSpec, labels: dict[str, str] | None = None, *, default_queue: str = ""
) -> str | None:
    """The command that submits such a job; with these labels instead of its own, if given. It names
    its queue unless that is the one given as the default. None when no command line says it."""
    if not isinstance(spec, CommandSpec) or spec.args or spec.has_input or spec.files:
        return None
    words = list(spec.command) if spec.script is None else [spec.script]
    said = [*_options(spec, default_queue, labels), f"-- {shlex.join(words)}"]
    if spec.shell is not None:
        text = spec.script_text or ""
        said[-1:] = [f"--shell {shlex.quote(spec.shell)}", f"-- {shlex.quote(text)}"]
    text = wrapped(["remotectl run --detach", *said])
    return text if len(text) <= _LONGEST else None


def _options(spec: JobSpec, default_queue: str, labels: dict[str, str] | None) -> Iterator[str]:
    if spec.queue != default_queue:
        yield f"--queue {shlex.quote(spec.queue)}"
    if spec.agent:
        yield f"--agent {shlex.quote(spec.agent)}"
    if spec.name:
        yield f"--name {shlex.quote(spec.name)}"
    for key, value in (spec.labels if labels is None else labels).items():
        yield f"--label {shlex.quote(f'{key}={value}')}"
    for key, value in spec.annotations.items():
        yield f"--annotation {shlex.quote(f'{key}={value}')}"
    for name in spec.env:
        # Without its value, which is taken from where it is typed: pages show no values.
        yield f"--env {shlex.quote(name)}"
    for name in spec.secrets:
        yield f"--secret {name}:file" if name in spec.secret_files else f"--secret {name}"
    if spec.relay is not None:
        yield f"--relay {spec.relay}"
    if spec.mask:
        yield "--mask"
    if spec.timeout is not None:
        yield f"--timeout {format_duration(spec.timeout)}"
    if spec.memory_limit is not None:
        yield f"--memory {''.join(plain_size(spec.memory_limit).split())}"
    if spec.weight is not None:
        yield f"--weight {spec.weight:g}"
    if spec.priority:
        yield f"--priority {spec.priority}"
    if spec.max_attempts > 1:
        yield f"--max-attempts {spec.max_attempts}"
        if list(spec.retry_on) != _RETRIES:
            yield " ".join(f"--retry-on {reason}" for reason in spec.retry_on)
    if spec.expires_in is not None:
        yield f"--expires-in {format_duration(spec.expires_in)}"
    if spec.cwd:
        yield f"--cwd {shlex.quote(spec.cwd)}"
    if spec.merge_output:
        yield "--merge-output"


def job_lines(job: str, attempt: int) -> str:
    """The commands that show a job and its log."""
    number = f" --attempt {attempt}" if attempt > 1 else ""
    logs = f"\nremotectl job logs {job}{number}" if attempt else ""
    return f"remotectl job show {job}{logs}"
