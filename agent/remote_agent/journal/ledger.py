"""How attempts ended that the server has settled, kept for a server that forgets.

A server whose database was restored from an older copy asks for them: directories of attempts are
used again as soon as they are settled, and would tell it nothing. Touches `settled.jsonl` in the
state directory, and `settled.jsonl.1`, which it becomes when it is full.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import structlog
from pydantic import ValidationError

from remote_agent.processes import APPEND, open_file, rename
from remote_protocol.attempt_id import AttemptId
from remote_protocol.limits import MAX_RECALLED
from remote_protocol.messages import Ended

log = structlog.get_logger("journal")

NAME: Final = "settled.jsonl"
LARGEST: Final = 4 * 1024 * 1024
"""Bytes after which the file is put aside; the one put aside before is removed. More than ten
thousand ends of ordinary jobs."""


class Ledger:
    """The last ends, oldest first. Not synced: it is wanted when the server lost its memory and
    this host did not."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / NAME
        self._aside = state_dir / f"{NAME}.1"
        self._descriptor: int | None = None
        self._size = 0

    def add(self, ended: Ended) -> None:
        """Keep an end, if the disk lets it."""
        try:
            self._write(ended)
        except OSError as error:
            log.error(
                "the end of a settled attempt cannot be written",
                attempt=str(ended.attempt),
                reason=error.strerror,
            )

    def _write(self, ended: Ended) -> None:
        if self._descriptor is None:
            self._descriptor = open_file(self._path, APPEND, 0o600)
            self._size = os.fstat(self._descriptor).st_size
        line = ended.model_dump_json(exclude_defaults=True).encode() + b"\n"
        self._size += os.write(self._descriptor, line)
        if self._size >= LARGEST:
            self.close()
            rename(self._path, self._aside)

    def keys(self) -> list[AttemptId]:
        """The newest attempts whose ends are kept, oldest first."""
        found = dict.fromkeys(ended.attempt for ended in self._ends())
        return list(found)[-MAX_RECALLED:]

    def find(self, keys: set[AttemptId]) -> list[Ended]:
        """The ends of these attempts, as far as they are kept."""
        found = {end.attempt: end for end in self._ends()}
        return [end for key, end in found.items() if key in keys]

    def close(self) -> None:
        """Let the file go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _ends(self) -> Iterator[Ended]:
        for path in (self._aside, self._path):
            try:
                lines = path.read_bytes().splitlines()
            except FileNotFoundError:
                continue
            except OSError as error:
                log.error(
                    "the ends of settled attempts cannot be read",
                    file=path.name,
                    reason=error.strerror,
                )
                continue
            for line in lines:
                try:
                    yield Ended.model_validate_json(line)
                except ValidationError:
                    # Torn by a full disk or a power loss; the others stand for themselves.
                    continue
