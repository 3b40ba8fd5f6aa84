"""Unpacks the bundle of a Python job, and becomes what follows: the program of its first process.

    python3 -I unpacking.py ARGUMENTS-OF-THE-PYTHON-THAT-FOLLOWS

It runs as the job: by the job's interpreter and user, within its limits, with its streams; so an
archive that is a bomb costs nobody but its job. A copy of this file lies beside the job's other
files, with `unpacking.json`. So it is for any Python from 3.8 on, uses the standard library only,
and nothing of this package. A wheel is only looked at: what follows installs it.

Nothing is written before the whole list of the archive was judged, and every file is a new one.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import zipfile
import zlib
from typing import Any, NoReturn

FAILED = 125
"""Exit code when the job could not begin."""
_PIECE = 1 << 20
_REGULAR = (0, stat.S_IFREG, stat.S_IFDIR)
_SHOWN = 200


class Failure(Exception):
    """The bundle cannot be used; the text is a sentence."""


def main(arguments: list[str]) -> NoReturn:
    """Unpack, and become the interpreter with these arguments; or say why not and exit."""
    # A polite signal ends it as it ends a program: at once and silently.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "unpacking.json"), encoding="utf-8") as file:
        settings = json.load(file)
    try:
        unpack(settings)
        os.execv(sys.executable, [sys.executable, *arguments])
    except Failure as failure:
        reason = f"its bundle cannot be used: {failure}"
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        reason = f"its bundle is a damaged archive, or none: {error}; make it again"
    except (NotImplementedError, RuntimeError) as error:
        reason = f"its bundle cannot be read here: {error}; pack it with deflate, as zip does"
    except OSError as error:
        reason = f"its bundle cannot be unpacked: {error}"
    os.write(2, f"remote-agent: {reason}\n".encode(errors="replace"))
    # Only now: whoever reads this file takes the job for one that has never begun.
    with open(settings["failure"], "w", encoding="utf-8", errors="replace") as file:
        file.write(reason)
    sys.exit(FAILED)


def unpack(settings: dict[str, Any]) -> None:
    """Judge the archive, and put what is in it into the target, if there is one. Failure, OSError,
    and what zipfile raises."""
    target = settings["target"]
    with zipfile.ZipFile(settings["archive"]) as archive:
        entries = judged(archive, settings)
        for entry, parts in entries if target is not None else ():
            place = os.path.join(target, *parts)
            if entry.is_dir():
                os.makedirs(place, mode=0o700, exist_ok=True)
                continue
            os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
            _write(archive, entry, place)
    if target is not None:
        # Its files are there: the job needs no second copy.
        os.unlink(settings["archive"])


def judged(
    archive: zipfile.ZipFile, settings: dict[str, Any]
) -> list[tuple[zipfile.ZipInfo, list[str]]]:
    """The entries with the parts of their paths. Failure names the first that will not do."""
    entries = archive.infolist()
    if len(entries) > settings["most_files"]:
        raise Failure(
            f"it has {len(entries)} files, and {settings['most_files']} are the most; leave out "
            "what the program does not need"
        )
    size = sum(entry.file_size for entry in entries)
    if size > settings["most_bytes"]:
        raise Failure(
            f"unpacked it has {size} bytes, and {settings['most_bytes']} are the most; give "
            "data to the job as files (--file), or let it fetch them"
        )
    found, taken = [], set()
    for entry in entries:
        parts = _parts(entry)
        place = tuple(parts)
        if place in taken and not entry.is_dir():
            raise Failure(f"it has {_shown(entry)} twice; pack it again")
        taken.add(place)
        if parts:
            found.append((entry, parts))
    return found


def _parts(entry: zipfile.ZipInfo) -> list[str]:
    """Where an entry leads. Failure when it is no plain file or folder inside."""
    name = entry.filename
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name:
        raise Failure(
            f"{_shown(entry)} leads out of it; pack it again, with names relative to its root"
        )
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise Failure(
            f"{_shown(entry)} is a link; pack it without links (zip without --symlinks), with the "
            "files themselves in their places"
        )
    if kind not in _REGULAR:
        raise Failure(f"{_shown(entry)} is no plain file; pack it without it")
    if entry.flag_bits & 1:
        raise Failure(f"{_shown(entry)} is encrypted; pack it without a password")
    return [part for part in parts if part not in ("", ".")]


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, place: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    mode = 0o700 if entry.external_attr >> 16 & stat.S_IXUSR else 0o600
    try:
        output = os.open(place, flags, mode)
    except FileExistsError:
        raise Failure(
            f"{_shown(entry)} is there already: another file of the job (--file) has its place; "
            "give it another name"
        ) from None
    left = entry.file_size
    try:
        with archive.open(entry) as source:
            while piece := source.read(_PIECE):
                left -= len(piece)
                if left < 0:
                    raise Failure(f"{_shown(entry)} is larger than the archive says; make it again")
                view = memoryview(piece)
                while view:
                    view = view[os.write(output, view) :]
    finally:
        os.close(output)


def _shown(entry: zipfile.ZipInfo) -> str:
    name = entry.filename if len(entry.filename) <= _SHOWN else entry.filename[:_SHOWN] + "…"
    return repr(name)


if __name__ == "__main__":
    main(sys.argv[1:])
