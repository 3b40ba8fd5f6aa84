"""A folder of DAGs as one archive: the same bytes for the same files. Reads files, no Airflow.

What is left out: version control, caches, environments, and what the ignore file in the folder
names, in the syntax of .gitignore. Links that lead out of the folder are refused, also those that
are put in a file's place while it is read: who may write a DAG must not choose which files of the
scheduler's host are sent to others.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, BinaryIO, Final, NamedTuple

MOST_FILES: Final = 20_000
LEFT_OUT: Final = (
    *(".git", ".hg", ".svn", ".venv", "venv", "__pycache__", "node_modules", ".tox", ".nox"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".idea", ".DS_Store", "*.pyc", "*.egg-info"),
)
_LARGEST_IGNORE: Final = 65536
_MOST_STARS: Final = 3
"""With five a name of 200 characters is compared for 20 seconds, and the scheduler stands still."""
_WHEN: Final = (1980, 1, 1, 0, 0, 0)
"""The time of all files: the oldest that a zip can say."""


class PackError(Exception):
    """A folder cannot be packed; the text is a sentence with the cure."""


class Entry(NamedTuple):
    """A file as it was seen: another one with the same values has the same bytes."""

    name: str
    """In the archive."""
    path: str
    top: str
    """The folder, without links."""
    size: int
    changed_at: int
    inode: int
    executable: bool


class Packed(NamedTuple):
    """What names an archive."""

    digest: str
    size: int


def look(root: str, ignore_file: str, limit: int) -> tuple[Entry, ...]:
    """The files of a folder that belong into its archive, in the order of their names. Nothing is
    read but the ignore file. PackError; OSError when it changes meanwhile.
    """
    # A link to the folder may be moved at any time, as git-sync does: all is read from one place.
    top = os.path.realpath(root)
    if not os.path.isdir(top):
        raise PackError(
            f"its folder {root} is not on the scheduler's host; have it there, as the "
            "dag-processor has it, or leave the bundle out of [remote] push_bundles"
        )
    found: list[Entry] = []
    size = 0
    for name, path in _files(top, _ignored(top, ignore_file)):
        about = _about(top, name, path)
        if about is None:
            continue
        size += about.st_size
        executable = bool(about.st_mode & stat.S_IXUSR)
        entry = Entry(name, path, top, about.st_size, about.st_mtime_ns, about.st_ino, executable)
        found.append(entry)
        if len(found) > MOST_FILES or size > limit:
            raise PackError(
                f"its folder {root} has more than {MOST_FILES} files or {limit} bytes; name what "
                f"tasks do not need in its {ignore_file}, or raise [remote] push_limit"
            )
    if not found:
        raise PackError(f"its folder {root} has no files; check its path, and its {ignore_file}")
    return tuple(sorted(found))


def pack(entries: Sequence[Entry], file: BinaryIO) -> Packed:
    """Write the archive. OSError when a file is gone meanwhile."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for entry in entries:
            about = zipfile.ZipInfo(entry.name, _WHEN)
            about.compress_type = zipfile.ZIP_DEFLATED
            about.create_system = 3  # Unix, wherever it is packed
            about.external_attr = (stat.S_IFREG | (0o755 if entry.executable else 0o644)) << 16
            with _opened(entry) as source, archive.open(about, "w") as target:
                # No more than was seen: a file that grows for ever is seen to have changed.
                left = entry.size
                while left and (piece := source.read(min(left, 1 << 20))):
                    left -= len(piece)
                    target.write(piece)
    digest, size = hashlib.sha256(), 0
    file.seek(0)
    while piece := file.read(1 << 20):
        digest.update(piece)
        size += len(piece)
    return Packed(digest.hexdigest(), size)


def _opened(entry: Entry) -> BinaryIO:
    """The very file that was seen. OSError when another thing is in its place by now."""
    source = _open(entry.path, entry.top)
    if os.fstat(source.fileno()).st_ino != entry.inode:
        source.close()
        raise OSError(f"{entry.name} is another file now")
    return source


def _open(path: str, top: str) -> BinaryIO:
    """A file in the folder. OSError for what is none: a pipe that would keep us for ever, or a link
    that leads out, also one that was put there at this moment."""
    # Never waits for a writer; not every platform has it.
    source = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")
    try:
        if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
            raise OSError(f"{path} is no file")
        # Where the open file is: its path may be another one's at the next moment.
        where = os.path.realpath(f"/proc/self/fd/{source.fileno()}")
        if os.path.exists("/proc/self/fd") and not _is_in(where, top):
            raise OSError(f"{path} leads out of the bundle")
    except BaseException:
        source.close()
        raise
    return source


def _is_in(path: str, top: str) -> bool:
    return os.path.commonpath([path, top]) == top


def _files(top: str, ignored: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    for folder, folders, files in os.walk(top):
        inner = os.path.relpath(folder, top).replace(os.sep, "/")
        before = "" if inner == "." else f"{inner}/"
        kept = []
        for name in folders:
            path = os.path.join(folder, name)
            if _left_out(path, name) or ignored(f"{before}{name}/"):
                continue
            if os.path.islink(path):
                # os.walk goes into none: its files would be missing without a word.
                raise PackError(
                    f"{before}{name} is a link to a folder; put the folder itself there, or name "
                    "it in the ignore file"
                )
            kept.append(name)
        folders[:] = kept
        for name in files:
            path = os.path.join(folder, name)
            if not (_left_out(path, name) or ignored(before + name)):
                yield before + name, path


def _about(top: str, name: str, path: str) -> os.stat_result | None:
    """What is known of a file; None for what is no plain file, as editors' locks and sockets."""
    if os.path.islink(path):
        real = os.path.realpath(path)
        if not os.path.exists(real):
            return None
        if not _is_in(real, top):
            raise PackError(
                f"{name} is a link that leads out of the bundle; put the file itself there, or "
                "name it in the ignore file"
            )
    about = os.stat(path)
    if not stat.S_ISREG(about.st_mode):
        return None
    try:
        name.encode()
    except UnicodeEncodeError:
        raise PackError(f"the name {name!a} is not UTF-8; rename it") from None
    return about


def _left_out(path: str, name: str) -> bool:
    if any(fnmatchcase(name, pattern) for pattern in LEFT_OUT):
        return True
    # An environment, whatever it is called (PEP 405).
    return os.path.exists(os.path.join(path, "pyvenv.cfg"))


def _ignored(top: str, ignore_file: str) -> Callable[[str], bool]:
    """Whether the ignore file names a path in the folder; folders end with a slash."""
    try:
        with _open(os.path.join(top, ignore_file), top) as file:
            data = file.read(_LARGEST_IGNORE + 1)
        if len(data) > _LARGEST_IGNORE:
            raise OSError(f"it is larger than {_LARGEST_IGNORE} bytes")
        lines = data.decode().splitlines()
    except FileNotFoundError:
        return lambda _: False
    except (OSError, UnicodeDecodeError) as error:
        raise PackError(f"its {ignore_file} cannot be read: {error}; correct it") from None
    for line in lines:
        if line.count("**") > _MOST_STARS or any(
            part.count("*") > _MOST_STARS for part in line.split("/")
        ):
            raise PackError(
                f"its {ignore_file} has a line with more than {_MOST_STARS} * in one name; write "
                "several lines"
            )
    # Airflow has it, for its own ignore files.
    from pathspec import GitIgnoreSpec

    try:
        spec: Any = GitIgnoreSpec.from_lines(lines)
    except ValueError as error:
        raise PackError(f"its {ignore_file} has a line that is no pattern: {error}") from None
    return lambda name: bool(spec.match_file(name))
