"""Opens the logs of a server: the adapters for them. Nobody else knows which there are."""

from __future__ import annotations

from pathlib import Path

from remote_server.disk.reserve import Reserve
from remote_server.logs.local.archive import DirectoryArchive
from remote_server.logs.local.store import FileLogs
from remote_server.logs.logs import Logs


def open_logs(root: Path, archive: Path, reserve: Reserve, worth_packing: int = 0) -> Logs:
    """Logs that grow as files below `root`, and packed ones below `archive`; logs of fewer than
    `worth_packing` bytes stay as they are. Nothing is made or read before it is needed."""
    return Logs(FileLogs(root, reserve), DirectoryArchive(archive), worth_packing)
