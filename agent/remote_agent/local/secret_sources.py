"""The secrets that a host gives to its jobs: of the agent's environment, and files of a directory.

Reads them at each use, so that a changed file counts for the next job. Says no value anywhere.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from remote_agent.planning.secret_values import Absent, Unusable
from remote_agent.sections import SecretsPart
from remote_protocol.units import plain_size

_TRIES: Final = 3
"""Looks at a file whose directory is exchanged meanwhile, as Kubernetes does it."""
_CLOSED: Final[int] = getattr(os, "O_CLOEXEC", 0)
_FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_SAFE: Final = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | _CLOSED
    | getattr(os, "O_BINARY", 0)
)
_STEP: Final = 1 << 16
_BY_FOLDER: Final = os.open in os.supports_dir_fd


def allowed(name: str, patterns: list[str]) -> bool:
    """Whether `[secrets] env_allow` gives this variable of the agent to jobs. The agent's own
    settings never are."""
    return not name.startswith("REMOTE_") and any(fnmatchcase(name, one) for one in patterns)


class SecretSources:
    """What `[secrets]` says. `settings` may be replaced; `environ` is the agent's."""

    def __init__(self, settings: SecretsPart, environ: Mapping[str, str]) -> None:
        self.settings = settings
        self._environ = environ

    def variables(self) -> set[str]:
        """Names of the agent's variables that jobs may have as secrets."""
        return {name for name in self._environ if allowed(name, self.settings.env_allow)}

    def of_environment(self, name: str) -> str:
        """The value of a variable that may be given. Absent, Unusable."""
        if not allowed(name, self.settings.env_allow):
            raise Absent("[secrets] env_allow does not name it")
        value = self._environ.get(name)
        if value is None:
            raise Absent("no such variable is set")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Unusable("is not text in UTF-8") from None
        return value

    def of_files(self, name: str) -> str:
        """The text of the file of this name, without one line end after it. Absent, Unusable."""
        folder, most = self.settings.dir, self.settings.max_size
        if folder is None:
            raise Absent("[secrets] dir names no directory")
        try:
            data = _read(folder, name, most)
        except FileNotFoundError:
            raise Absent(f"{folder} has no file of this name") from None
        except OSError as error:
            raise Unusable(f"cannot be read in {folder}: {error.strerror}") from None
        if len(data) > most:
            raise Unusable(f"in {folder} is larger than [secrets] max_size, {plain_size(most)}")
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise Unusable(f"in {folder} is not text in UTF-8") from None
        return text.removesuffix("\n").removesuffix("\r")


def _read(folder: Path, name: str, most: int) -> bytes:
    """At most a little more than `most` bytes of a file in a folder. OSError, Unusable."""
    for last in (False,) * (_TRIES - 1) + (True,):
        try:
            descriptor = _open(folder, name)
            break
        except OSError:
            # Between the look at a link and the way along it the directory was exchanged.
            if last or not os.path.lexists(folder / name):
                raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unusable(f"in {folder} is no file")
        data = b""
        while len(data) <= most and (piece := os.read(descriptor, _STEP)):
            data += piece
    finally:
        os.close(descriptor)
    return data


def _open(folder: Path, name: str) -> int:
    """Open a file in a folder; links are followed as long as they stay in it. OSError, Unusable.

    Where the links lead is found out first; then that way is gone without following any, so
    nobody can lay another one in between.
    """
    inside = os.path.realpath(folder)
    real = os.path.realpath(os.path.join(inside, name))
    if real == inside:
        raise Unusable(f"in {folder} is no file")
    if not real.startswith(inside.rstrip(os.sep) + os.sep):
        raise Unusable(f"is a link that leads out of {folder}")
    if not _BY_FOLDER:
        return os.open(real, os.O_RDONLY | _SAFE)
    held = os.open(inside, _FOLDER | _CLOSED)
    try:
        *folders, last = Path(real).relative_to(inside).parts
        for part in folders:
            further = os.open(part, _FOLDER | _SAFE, dir_fd=held)
            os.close(held)
            held = further
        return os.open(last, os.O_RDONLY | _SAFE, dir_fd=held)
    finally:
        os.close(held)
