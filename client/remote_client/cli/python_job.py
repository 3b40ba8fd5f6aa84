"""What `remotectl run --python` submits: a program of Python with what it requires. Reads files.

What a requirement may look like is the server's to say; here a requirements file becomes its lines.
"""

from __future__ import annotations

import os
import re
import shlex
from typing import Final

from remote_client.errors import UsageError
from remote_client.transport import Document
from remote_protocol.limits import (
    MAX_REQUIREMENTS_SIZE,
    MAX_SCRIPT_SIZE,
    SCRIPT_NAME,
    SCRIPT_NAME_PATTERN,
)
from remote_protocol.units import plain_size

_OPTIONS: Final = frozenset(
    ["module", "requirements", "python_version", "environment", "preload", "preload_env"]
)
"""Options that only Python jobs have."""
_COMMENT: Final = re.compile(r"(?:^|\s)#.*")
_LONGEST_FILE: Final = 4 * MAX_REQUIREMENTS_SIZE
"""Bytes of a requirements file, comments and all."""


def needs_python(spec: Document) -> str | None:
    """An option that only Python jobs have, if one was given."""
    return next((f"--{name.replace('_', '-')}" for name in spec if name in _OPTIONS), None)


def python_title(spec: Document) -> str:
    """What a Python job runs, as somebody would write it."""
    program = ["-m", spec["module"]] if spec.get("module") else [spec.get("filename", SCRIPT_NAME)]
    return shlex.join(["python", *program, *spec.get("args", ())])


def make_python(spec: Document) -> None:
    """Turn what the options say into a job of the kind `python`. UsageError."""
    for other in ("shell", "script", "image"):
        if other in spec:
            raise UsageError(
                f"--{other} contradicts --python; write remotectl run --python -- FILE.py ARGUMENTS"
            )
    words = list(spec.pop("command", ()))
    spec["kind"] = "python"
    if version := spec.pop("python_version", None):
        spec["python"] = version
    if "module" not in spec:
        if not words:
            raise UsageError("say which file to run after --, or give --module NAME")
        _put_script(spec, words.pop(0))
    if words:
        spec["args"] = words
    for name in ("preload", "preload_env"):
        if name in spec:
            spec[name] = list(spec[name])
    if name := spec.pop("requirements", None):
        spec["requirements"] = _requirements(name)


def _put_script(spec: Document, name: str) -> None:
    try:
        with open(name, "rb") as file:
            data = file.read(MAX_SCRIPT_SIZE + 1)
    except OSError as error:
        raise UsageError(
            f"{name}: {error.strerror}; after -- comes a local file, which is sent with the job"
        ) from None
    if len(data) > MAX_SCRIPT_SIZE:
        raise UsageError(
            f"{name}: a program may have {plain_size(MAX_SCRIPT_SIZE)}; send a larger one with "
            "--file, and run it by --module"
        )
    try:
        spec["script"] = data.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{name} is not text in UTF-8") from None
    base = os.path.basename(name)
    if base != SCRIPT_NAME and re.match(SCRIPT_NAME_PATTERN, base):
        spec["filename"] = base


def _requirements(name: str) -> list[str]:
    """The requirements in a file: continued lines joined, without comments and empty lines."""
    try:
        with open(name, "rb") as file:
            data = file.read(_LONGEST_FILE + 1)
    except OSError as error:
        raise UsageError(f"--requirements {name}: {error.strerror}") from None
    if len(data) > _LONGEST_FILE:
        raise UsageError(f"--requirements {name} is larger than {plain_size(_LONGEST_FILE)}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"--requirements {name} is not text in UTF-8") from None
    found = []
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        if line := " ".join(_COMMENT.sub("", line).split()):
            if line.startswith(("-r", "--requirement", "-c", "--constraint")):
                raise UsageError(
                    f"--requirements {name}: {line!r} names another file; write all requirements "
                    "into one, for example by pip-compile or uv pip compile"
                )
            found.append(line)
    return found
