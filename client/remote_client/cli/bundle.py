"""`remotectl run --bundle`: a directory, zip or wheel as the bundle of a Python job. Reads files.

A directory is packed the same way each time, so that the server has it already when nothing of it
has changed.
"""

from __future__ import annotations

import fnmatch
import os
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Final

from remote_client.contents import LocalContent, Opened, local_content
from remote_client.errors import UsageError
from remote_client.transport import Document
from remote_protocol.limits import MAX_BUNDLE, MAX_BUNDLE_FILES
from remote_protocol.units import format_size

LEFT_OUT: Final = (
    *(".git", ".hg", ".svn", ".venv", "venv", "__pycache__", "node_modules", ".tox", ".nox"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".idea", ".DS_Store", "*.pyc", "*.egg-info"),
)
"""Names of files and folders that no bundle has: what version control, environments and tools put
beside a program."""
_WHEN: Final = (1980, 1, 1, 0, 0, 0)
"""The time of all files: the oldest that a zip can say."""
_MOST_TEXT: Final = 4 << 20


class Bundle:
    """A bundle that was opened: what it has, and what its job says of it."""

    def __init__(self, path: str) -> None:
        """UsageError when it is none."""
        self.path = path
        self.form = "directory" if os.path.isdir(path) else "zip"
        if path.endswith(".whl"):
            self.form = "wheel"
        try:
            self._opened: Opened = partial(_read, path)
            if self.form == "directory":
                self._opened = _Packed(path)
            with self._opened() as file, zipfile.ZipFile(file) as archive:
                self.names = set(archive.namelist())
                size = sum(entry.file_size for entry in archive.infolist())
        except OSError as error:
            raise UsageError(f"--bundle {path}: {error.strerror}") from None
        except zipfile.BadZipFile:
            raise UsageError(
                f"--bundle {path} is no zip archive; give a directory, a .zip or a .whl"
            ) from None
        if size > MAX_BUNDLE or len(self.names) > MAX_BUNDLE_FILES:
            raise UsageError(
                f"--bundle {path} has {len(self.names)} files and {format_size(size)} unpacked; "
                f"{MAX_BUNDLE_FILES} and {format_size(MAX_BUNDLE)} are the most: give data with "
                "--file, or leave out what the program does not need"
            )

    def content(self) -> LocalContent:
        """What is sent of it."""
        return local_content(f"the bundle {self.path}", self._opened)

    def described(self, content: LocalContent) -> Document:
        """What the job says of it."""
        said: Document = {"digest": content.digest, "size": content.size, "form": self.form}
        if self.form == "wheel":
            said["name"] = os.path.basename(self.path)
        return said

    def entry(self, name: str) -> str:
        """A file of it to run, by its path there. UsageError."""
        if self.form == "wheel":
            raise UsageError(
                f"--bundle {self.path} is a wheel, which is installed: give --module NAME to say "
                "what to run"
            )
        found = str(PurePosixPath(name.replace(os.sep, "/")))
        if found not in self.names:
            raise UsageError(
                f"{name} is not in the bundle {self.path}; after -- comes the path of a file in "
                "it, or give --module NAME"
            )
        return found

    def text(self, name: str) -> str | None:
        """The text of a file in it, None when there is none. UsageError."""
        if name not in self.names:
            return None
        with (
            self._opened() as whole,
            zipfile.ZipFile(whole) as archive,
            archive.open(name) as file,
        ):
            data = file.read(_MOST_TEXT)
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise UsageError(f"{name} in the bundle {self.path} is not text in UTF-8") from None

    def dependencies(self) -> list[str] | None:
        """Those that its pyproject.toml names; None without one. UsageError."""
        text = self.text("pyproject.toml")
        if text is None:
            return None
        import tomllib

        try:
            project: Any = tomllib.loads(text).get("project", {})
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"pyproject.toml in the bundle {self.path}: {error}") from None
        found = project.get("dependencies") if isinstance(project, dict) else None
        return [str(line) for line in found] if isinstance(found, list) else None


class _Packed:
    """A directory as a zip, in a file without a name: names in order, no times, no users."""

    def __init__(self, root: str) -> None:
        """OSError, UsageError."""
        self._file: Any = tempfile.TemporaryFile()  # noqa: SIM115 - it is sent later
        _pack(root, self._file)

    def __call__(self) -> AbstractContextManager[BinaryIO]:
        return nullcontext(self._file)

    def __del__(self) -> None:
        self._file.close()


def _read(path: str) -> BinaryIO:
    return open(path, "rb")


def _pack(root: str, file: Any) -> None:
    """Write the zip. OSError, UsageError."""
    count = 0
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for path, name in _files(root):
            about = os.stat(path)
            if not stat.S_ISREG(about.st_mode):
                raise UsageError(f"--bundle {root}: {name} is no plain file; move it out of there")
            count += 1
            if count > MAX_BUNDLE_FILES:
                raise UsageError(
                    f"--bundle {root} has more than {MAX_BUNDLE_FILES} files; name a smaller "
                    "directory, with what the program needs"
                )
            entry = zipfile.ZipInfo(name, _WHEN)
            entry.compress_type = zipfile.ZIP_DEFLATED
            executable = about.st_mode & stat.S_IXUSR
            entry.external_attr = (stat.S_IFREG | (0o755 if executable else 0o644)) << 16
            with open(path, "rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                while piece := source.read(1 << 20):
                    target.write(piece)
    if not count:
        raise UsageError(f"--bundle {root} has no files to send")


def _files(root: str) -> Iterator[tuple[str, str]]:
    """Path and name in the bundle of each file, in the order of names. UsageError for links that
    lead out of it."""
    top = os.path.realpath(root)
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not _left_out(folder, name))
        for name in files:
            path = os.path.join(folder, name)
            if not _left_out(folder, name):
                found.append((path, os.path.relpath(path, root).replace(os.sep, "/")))
        for name in folders:
            if os.path.islink(os.path.join(folder, name)):
                raise UsageError(
                    f"--bundle {root}: {os.path.join(folder, name)} is a link to a folder; put the "
                    "folder itself there"
                )
    for path, name in sorted(found, key=lambda one: one[1]):
        if os.path.islink(path):
            real = os.path.realpath(path)
            if os.path.commonpath([real, top]) != top:
                raise UsageError(
                    f"--bundle {root}: {name} is a link that leads out of it; put the file itself "
                    "there"
                )
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"--bundle {root}: the name {name!a} is not UTF-8; rename it"
            ) from None
        yield path, name


def _left_out(folder: str, name: str) -> bool:
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in LEFT_OUT):
        return True
    # An environment, whatever it is called (PEP 405).
    return os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))
