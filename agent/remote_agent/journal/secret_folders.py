"""Folders in memory with secrets that jobs got as files: found again, and removed, after crashes.

A shim removes its own at the end of its attempt (`shim.secret_files`); here are those of shims that
were killed. Deletes below the folder in memory only what has this agent's prefix.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import structlog

from remote_agent.processes import remove_tree
from remote_protocol.attempt_id import AttemptId

log = structlog.get_logger("journal")


def prefix_in(folder: str | None, state_dir: Path) -> str:
    """How the paths of all such folders begin, of the agent with this state directory; empty when
    there is no folder in memory."""
    if folder is None:
        return ""
    digest = sha256(os.fsencode(os.path.realpath(state_dir))).hexdigest()[:16]
    return os.path.join(folder, f"remote-agent-{digest}-")


class SecretFolders:
    """Those of one agent: their paths are `prefix`, the attempt's key, and something random."""

    def __init__(self, prefix: str) -> None:
        self._folder, self._start = os.path.split(prefix)

    def sweep(self, keep: Collection[AttemptId]) -> None:
        """Remove those of all attempts but these, which run."""
        kept = set(map(str, keep))
        self._remove(lambda key: key not in kept)

    def remove(self, key: AttemptId) -> None:
        """Remove that of an attempt whose shim is dead."""
        self._remove(str(key).__eq__)

    def _remove(self, wanted: Callable[[str], bool]) -> None:
        if not self._start:
            return
        with suppress(OSError):
            for name in os.listdir(self._folder):
                key = name[len(self._start) :].rpartition("-")[0]
                if name.startswith(self._start) and wanted(key):
                    self._remove_one(Path(self._folder, name))

    def _remove_one(self, path: Path) -> None:
        try:
            remove_tree(path)
        except OSError as error:
            log.error("secrets of a job cannot be removed", path=str(path), reason=error.strerror)
