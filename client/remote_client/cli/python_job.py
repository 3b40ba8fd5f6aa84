"""What `remotectl run --python` submits: a program of Python with what it requires. Reads files.

What a requirement may look like is the server's to say; here a requirements file becomes its lines.
"""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING, Final

from remote_client.cli.output import note
from remote_client.errors import UsageError
from remote_client.transport import Document
from remote_protocol.limits import (
    MAX_REQUIREMENTS_SIZE,
    MAX_SCRIPT_SIZE,
    SCRIPT_NAME,
    SCRIPT_NAME_PATTERN,
)
from remote_protocol.units import plain_size

if TYPE_CHECKING:
    from remote_client.cli.bundle import Bundle
    from remote_client.contents import LocalContent

_OPTIONS: Final = frozenset(
    ["module", "requirements", "python_version", "environment", "preload", "preload_env", "bundle"]
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
    file = spec.get("entry") or spec.get("filename", SCRIPT_NAME)
    program = ["-m", spec["module"]] if spec.get("module") else [file]
    return shlex.join(["python", *program, *spec.get("args", ())])


def make_python(spec: Document, contents: list[LocalContent]) -> None:
    """Turn what the options say into a job of the kind `python`; what is to be sent before it goes
    to `contents`. UsageError."""
    for other in ("shell", "script", "image"):
        if other in spec:
            raise UsageError(
                f"--{other} contradicts --python; write remotectl run --python -- FILE.py ARGUMENTS"
            )
    words = list(spec.pop("command", ()))
    spec["kind"] = "python"
    if version := spec.pop("python_version", None):
        spec["python"] = version
    path = spec.pop("bundle", None)
    bundle = None
    if path is not None:
        # What reads archives is needed for nothing else.
        from remote_client.cli.bundle import Bundle

        bundle = Bundle(path)
    if "module" not in spec:
        if not words and (bundle is None or bundle.form != "wheel"):
            raise UsageError("say which file to run after --, or give --module NAME")
        if bundle is None:
            _put_script(spec, words.pop(0))
        else:
            spec["entry"] = bundle.entry(words.pop(0) if words else "")
    if words:
        spec["args"] = words
    for name in ("preload", "preload_env"):
        if name in spec:
            spec[name] = list(spec[name])
    name = spec.pop("requirements", None)
    if name is not None:
        spec["requirements"] = _requirements(name)
    if bundle is not None:
        _put_bundle(spec, bundle, contents)


def _put_bundle(spec: Document, bundle: Bundle, contents: list[LocalContent]) -> None:
    content = bundle.content()
    contents.append(content)
    spec["bundle"] = bundle.described(content)
    if "requirements" in spec or bundle.form == "wheel":
        return
    text = bundle.text("requirements.txt")
    if text is not None:
        found = _lines(f"requirements.txt in the bundle {bundle.path}", text)
        source = "requirements.txt"
    else:
        found, source = bundle.dependencies() or [], "pyproject.toml"
    if found:
        spec["requirements"] = found
        count = f"{len(found)} requirement{'' if len(found) == 1 else 's'}"
        note(f"the bundle requires what its {source} says: {count}")


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
    return _lines(f"--requirements {name}", text)


def _lines(name: str, text: str) -> list[str]:
    """The requirements in a text: continued lines joined, without comments and empty lines."""
    found = []
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        if line := " ".join(_COMMENT.sub("", line).split()):
            if line.startswith(("-r", "--requirement", "-c", "--constraint")):
                raise UsageError(
                    f"{name}: {line!r} names another file; write all requirements "
                    "into one, for example by pip-compile or uv pip compile"
                )
            found.append(line)
    return found
