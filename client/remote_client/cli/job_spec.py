"""What `remotectl run` submits, made from its options. Reads the environment and files.

What is valid is the server's to say: only what it cannot see is looked at here.
"""

from __future__ import annotations

import json
import os
import shlex
import stat
from binascii import b2a_base64
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from remote_client.cli.python_job import make_python, needs_python, python_title
from remote_client.errors import UsageError
from remote_client.transport import Document
from remote_protocol.limits import MAX_FILES, MAX_FILES_SIZE, MAX_JOB_BODY, MAX_SCRIPT_SIZE
from remote_protocol.units import format_size

if TYPE_CHECKING:
    from remote_client.cli.session import Session
    from remote_client.contents import LocalContent

_DEFAULTS: Final = {"priority": 0, "max_attempts": 1, "merge_output": False,
             "mask": False, "init": False, "python": False}  # fmt: skip
_SMALL: Final = 64 * 1024
"""Bytes of a file that a job carries itself, even if others are sent before it."""
_SHELL: Final = "sh"
"""What runs a script without a #! line, as execvp(3) does."""
_OF_CONTAINERS: Final = ("pull", "entrypoint", "user", "network", "mounts", "init")
_FLAGS: Final = {
    "memory_limit": "--memory", "labels": "--label", "annotations": "--annotation",
    "files": "--file", "env": "--env",
    "mounts": "--mount",
    "command": "COMMAND", "args": "COMMAND", "retry_on": "--retry-on",
    "python": "--python-version", "filename": "COMMAND",
    "secrets": "--secret", "secret_files": "--secret",
}  # fmt: skip


def job_spec(options: dict[str, Any], contents: list[LocalContent]) -> Document:
    """The document of a job, with what was given only; files that are to be sent before it go to
    `contents`. UsageError for what cannot be read."""
    spec: Document = {
        name: value
        for name, value in options.items()
        if value not in (None, ()) and _DEFAULTS.get(name) != value
    }
    described = _document(spec.pop("spec")) if "spec" in spec else None
    if "memory" in spec:
        spec["memory_limit"] = spec.pop("memory")
    if "label" in spec:
        spec["labels"] = dict(spec.pop("label"))
    if "annotation" in spec:
        spec["annotations"] = dict(spec.pop("annotation"))
    if "env" in spec:
        spec["env"] = dict(_variable(text) for text in spec["env"])
    if "secrets" in spec:
        _secrets(spec, spec["secrets"])
    if spec.pop("python", False):
        make_python(spec, contents)
    elif (given := needs_python(spec)) is not None:
        raise UsageError(f"{given} is for Python jobs: it needs --python")
    elif "script" in spec:
        _script(spec, options["script"])
    elif "command" not in spec and described is None and "image" not in spec:
        raise UsageError("COMMAND is missing: say what to run after --, or give --script FILE")
    _container(spec, described)
    if "files" in spec:
        spec["files"] = _files(spec["files"], contents)
    for name in ("command", "args", "retry_on"):
        if name in spec:
            spec[name] = list(spec[name])
    return spec if described is None else described | spec


def flag(field: str) -> str:
    """The option of `run` that fills a field of the API's document, which the server names."""
    name = field.split(".", maxsplit=1)[0]
    return _FLAGS.get(name, f"--{name.replace('_', '-')}")


def title(spec: Document) -> str:
    """What to call a job in a sentence."""
    if spec.get("name"):
        return str(spec["name"])
    if spec.get("kind") == "python":
        text = python_title(spec)
    else:
        text = shlex.join(
            spec.get("command") or [spec.get("image") or "script", *spec.get("args", ())]
        )
    return text if len(text) <= 60 else text[:57] + "…"


def send_first(session: Session, contents: list[LocalContent]) -> bool:
    """Send what goes before the job; False when somebody interrupts that."""
    from remote_client.cli.sending import send_contents

    return send_contents(session, contents)


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if equals:
        return name, value
    if name not in os.environ:
        raise UsageError(f"--env {name}: no such variable is set here; write --env {name}=VALUE")
    value = os.environ[name]
    if not _is_text(value):
        raise UsageError(f"--env {name}: its value is not UTF-8; send such bytes in a --file")
    return name, value


def _secrets(spec: Document, texts: tuple[str, ...]) -> None:
    """`NAME` is a variable of the job, `NAME:file` a file."""
    spec["secrets"], files = [], []
    for text in texts:
        name, colon, form = text.partition(":")
        if colon and form != "file":
            raise UsageError(f"--secret {text}: write NAME, or NAME:file for a file with it")
        spec["secrets"].append(name)
        if colon:
            files.append(name)
    if files:
        spec["secret_files"] = files


def _script(spec: Document, name: str) -> None:
    """Put a script's text in place of its file's name; what follows it are its arguments."""
    data = _given_file("--script", name, MAX_SCRIPT_SIZE)
    if len(data) > MAX_SCRIPT_SIZE:
        raise UsageError(
            f"--script {name}: a script may have {format_size(MAX_SCRIPT_SIZE)}; send a larger one "
            "with --file"
        )
    try:
        spec["script"] = text = data.decode()
    except UnicodeDecodeError:
        raise UsageError(
            f"--script {name} is not text in UTF-8; send a program with --file {name}, and run it"
        ) from None
    spec.setdefault("shell", _interpreter(text))
    if args := spec.pop("command", ()):
        spec["args"] = args


def _container(spec: Document, described: Document | None) -> None:
    """Make it a job of the kind container, if it has an image."""
    kind = spec.get("kind") or (described or {}).get("kind")
    if "image" in spec:
        spec["kind"] = "container"
    elif kind != "container" and (given := [name for name in _OF_CONTAINERS if name in spec]):
        raise UsageError(f"{flag(given[0])} is for containers; name an image with --image too")
    if spec.get("kind") == "container" and ("shell" in spec or "script" in spec):
        raise UsageError(
            "--shell and --script do not go with --image; name the shell of the image: -- sh -c '…'"
        )
    if "mounts" in spec:
        spec["mounts"] = [_mount(text) for text in spec["mounts"]]


def _mount(text: str) -> Document:
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not source or mode not in ("", "ro", "rw") or (rest and not target):
        raise UsageError(f"--mount {text}: write HOSTDIR:DIR, or HOSTDIR:DIR:ro")
    return {"source": source, "target": target or source, "read_only": mode == "ro"}


def _given_file(option: str, name: str, most: int) -> bytes:
    """At most a little more than `most` bytes of a file, or of standard input."""
    if name == "-":
        from remote_client.cli.stdin import read_all

        return read_all(option, most)
    try:
        with open(name, "rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise UsageError(f"{option} {name}: {error.strerror}") from None


def _document(name: str) -> Document:
    """The job that a file describes."""
    data = _given_file("--spec", name, MAX_JOB_BODY)
    if len(data) > MAX_JOB_BODY:
        most = format_size(MAX_JOB_BODY)
        raise UsageError(f"--spec {name}: the description of a job may have {most}")
    try:
        found = json.loads(data)
    except ValueError as error:
        raise UsageError(f"--spec {name} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise UsageError(f"--spec {name} is no JSON object with the fields of a job")
    return found


def _interpreter(script: str) -> str:
    """What its #! line names: a program and at most one argument, as Linux has it (execve(2))."""
    first = script.split("\n", maxsplit=1)[0].strip()
    words = first[2:].split(maxsplit=1) if first.startswith("#!") else []
    return shlex.join(words) if words else _SHELL


def _files(texts: tuple[str, ...], contents: list[LocalContent]) -> list[Document]:
    """The files of a job: with their bytes when all of them fit into it, else the large ones by
    their digests."""
    named: dict[str, tuple[str, str]] = {}
    for text in texts:
        for local, remote in _named(text):
            if remote in named:
                raise UsageError(f"--file {text}: {remote} is the target of another --file")
            if not _is_text(remote):
                raise UsageError(f"--file {text}: the name {remote!a} is not UTF-8; rename it")
            if len(named) == MAX_FILES:
                raise UsageError(f"--file {text}: a job takes at most {MAX_FILES} files; pack them")
            named[remote] = text, local
    sizes = {remote: _size_of(local) for remote, (_, local) in named.items()}
    fits = sum(sizes.values()) <= MAX_FILES_SIZE
    found, carried = [], 0
    for remote, (_, local) in named.items():
        if not fits and (sizes[remote] > _SMALL or carried + sizes[remote] > MAX_FILES_SIZE):
            found.append(_sent_before(local, remote, contents))
            continue
        data, mode = _read(local, carried)
        carried += len(data)
        content = b2a_base64(data, newline=False).decode()
        found.append({"path": remote, "content": content, "mode": mode})
    return found


def _size_of(local: str) -> int:
    """Bytes of a plain file; of anything else nobody knows it before it was read."""
    try:
        about = os.stat(local)
    except OSError as error:
        raise UsageError(f"--file {local}: {error.strerror}") from None
    return about.st_size if stat.S_ISREG(about.st_mode) else 0


def _opened(local: str) -> BinaryIO:
    return open(local, "rb")


def _sent_before(local: str, remote: str, contents: list[LocalContent]) -> Document:
    """A file by its digest."""
    from remote_client.contents import local_content

    try:
        mode = 0o700 if os.stat(local).st_mode & stat.S_IXUSR else 0o600
        content = local_content(local, partial(_opened, local))
    except OSError as error:
        raise UsageError(f"--file {local}: {error.strerror}") from None
    contents.append(content)
    return {"path": remote, "digest": content.digest, "size": content.size, "mode": mode}


def _named(text: str) -> Iterator[tuple[str, str]]:
    """The files that `LOCAL[:REMOTE]` names, here and there; of a directory, all that it holds."""
    local, remote = text, ""
    if not os.path.exists(text):  # a colon may be part of its name
        local, _, remote = text.partition(":")
    remote = remote or os.path.basename(os.path.abspath(local))
    if not os.path.isdir(local):
        yield local, remote
        return
    for folder, folders, files in os.walk(local):
        folders.sort()
        inner = os.path.relpath(folder, local).replace(os.sep, "/")
        for name in sorted(files):
            there = f"{remote}/{name}" if inner == "." else f"{remote}/{inner}/{name}"
            yield os.path.join(folder, name), there


def _read(local: str, before: int) -> tuple[bytes, int]:
    """A file's bytes and mode. UsageError when all files together would be too large."""
    try:
        with open(local, "rb") as file:
            about = os.fstat(file.fileno())
            data = file.read(MAX_FILES_SIZE - before + 1)
    except OSError as error:
        raise UsageError(f"--file {local}: {error.strerror}") from None
    if before + len(data) > MAX_FILES_SIZE:
        raise UsageError(
            f"--file {local} is no plain file, and gives more than {format_size(MAX_FILES_SIZE)}; "
            "write it into a file first"
        )
    return data, 0o700 if about.st_mode & stat.S_IXUSR else 0o600


def _is_text(text: str) -> bool:
    """Whether it came from valid UTF-8 (PEP 383)."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
