"""`remote-agent logs`: the copies of jobs' logs on this host, and the agent's own log."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from remote_agent.cli.call import load
from remote_agent.errors import AgentError
from remote_agent.journal.folder import parse_key
from remote_agent.journal.settled import LOGS
from remote_agent.local.logging_setup import own_log
from remote_agent.processes import READ, open_file
from remote_agent.shim.layout import EXIT, SETTLED
from remote_agent.spool import SpoolReader
from remote_protocol import cri

_PIECE: Final = 1024 * 1024
_PAUSE: Final = 0.2
_ENDED: Final = (EXIT, SETTLED)


def logs(options: argparse.Namespace) -> int:
    """Print a log; with --follow until it is complete, or for ever for the agent's own."""
    state_dir = load(options)[0].state_dir
    if options.job is None:
        for piece in _own_log(own_log(state_dir), options.follow):
            _write(sys.stdout, piece)
        return 0
    directory = _find(state_dir / "attempts", options.job)
    for piece in _records(directory, options.follow):
        for stream, target in ((cri.STDOUT, sys.stdout), (cri.STDERR, sys.stderr)):
            _write(target, cri.decode(piece, stream))
    return 0


def _find(attempts: Path, text: str) -> Path:
    wanted = text.upper()
    found = [
        entry
        for entry in sorted((*attempts.glob("*.*"), *(attempts / LOGS).glob("*.*")), key=_number)
        if parse_key(entry.name) is not None and entry.name.startswith(wanted)
    ]
    jobs = {entry.name.partition(".")[0] for entry in found}
    if not found:
        raise AgentError(
            f"no log of a job {text!r} is kept here; older ones are removed by [logs] retention"
        )
    if len(jobs) > 1:
        raise AgentError(f"{len(jobs)} jobs begin with {text!r}: {', '.join(sorted(jobs)[:5])}")
    return found[-1]


def _number(directory: Path) -> tuple[str, int]:
    job, _, number = directory.name.partition(".")
    return job, int(number) if number.isdecimal() else 0


def _records(place: Path, follow: bool) -> Iterator[bytes]:
    """The whole records of a log as they come."""
    pending = b""
    for piece in _pieces(place, follow):
        data = pending + piece
        cut = cri.complete(data)
        pending = data[cut:]
        yield data[:cut]


def _pieces(place: Path, follow: bool) -> Iterator[bytes]:
    """The bytes of a log: of an attempt's directory, or of the file that is left of it."""
    offset = 0
    if place.is_dir():
        reader = SpoolReader(place)
        buffer, offset = memoryview(bytearray(_PIECE)), _start(reader)
        try:
            while True:
                done = not follow or any((place / name).exists() for name in _ENDED)
                while length := reader.read_into(buffer, offset):
                    offset += length
                    yield bytes(buffer[:length])
                if done:
                    return
                if not place.is_dir():
                    break
                time.sleep(_PAUSE)
        finally:
            reader.close()
    if not place.is_file():
        # It was settled meanwhile.
        place = place.parent / LOGS / place.name
    with suppress(FileNotFoundError), open(open_file(place, READ), "rb") as file:
        file.seek(offset)
        while piece := file.read(_PIECE):
            yield piece


def _start(reader: SpoolReader) -> int:
    segments = reader.segments()
    return segments[0].start if segments else 0


def _own_log(path: Path, follow: bool) -> Iterator[bytes]:
    file = _open(path)
    try:
        while True:
            while piece := file.read(_PIECE):
                yield piece
            if not follow:
                return
            if _rotated(path, file):
                # What was written between the last read and the rotation.
                yield file.read()
                file.close()
                file = _open(path)
                continue
            time.sleep(_PAUSE)
    finally:
        file.close()


def _open(path: Path) -> BinaryIO:
    try:
        return open(open_file(path, READ), "rb")
    except FileNotFoundError:
        raise AgentError(f"{path} does not exist: the agent has not run yet") from None
    except OSError as error:
        raise AgentError(f"{path}: {error.strerror}") from None


def _rotated(path: Path, file: BinaryIO) -> bool:
    try:
        return not os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        # In the middle of a rotation.
        return False


def _write(target: object, data: bytes) -> None:
    stream = getattr(target, "buffer", None)
    if data and stream is not None:
        stream.write(data)
        stream.flush()
