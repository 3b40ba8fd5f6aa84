"""Opens the logs of a server: the adapters for them. Nobody else knows which there are."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from remote_server.config import Config
from remote_server.disk.reserve import Reserve
from remote_server.errors import ServerError
from remote_server.logs.local.archive import DirectoryArchive
from remote_server.logs.local.store import FileLogs
from remote_server.logs.logs import Logs
from remote_server.logs.ports import Archive
from remote_server.s3_settings import S3Part, S3Place

if TYPE_CHECKING:
    from remote_server.s3 import Bucket


def open_archive(config: Config, usual: Path) -> Archive:
    """The archive that the configuration names, or the directory `usual`. Nothing is made or read
    before it is needed. ServerError when it can never be used."""
    if config.logs.archive is None:
        return DirectoryArchive(config.logs.archive_dir or usual)
    bucket = open_place(config.logs.archive, config.s3)
    from remote_server.logs.s3 import S3Archive

    return S3Archive(bucket)


def open_place(place: S3Place, settings: S3Part) -> Bucket:
    """A folder of a bucket. Nothing is asked of it. ServerError when it can never be used."""
    with suppress(ModuleNotFoundError):
        if find_spec("obstore") is not None:
            # It takes megabytes of memory: only where it is used.
            from remote_server.s3 import open_bucket

            return open_bucket(place, settings, os.environ)
    raise ServerError(
        f"{place} needs packages that are not installed: pip install 'remote-server[s3]'"
    )


def open_logs(root: Path, archive: Archive, reserve: Reserve, worth_packing: int = 0) -> Logs:
    """Logs that grow as files below `root`, and packed ones in `archive`; logs of fewer than
    `worth_packing` bytes stay as they are. Nothing is made or read before it is needed."""
    return Logs(FileLogs(root, reserve), archive, worth_packing)
