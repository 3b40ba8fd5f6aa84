"""The file that `remote-server backup` writes: a tar archive of what the data directory holds.

Files are added as long as they are now: logs, inputs and artifacts may grow meanwhile, be packed,
ended, or be gone, and the server may cut a log that its agent sends again. Reads the data
directory, and the archive where it is elsewhere.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from remote_server.disk import sparse

_LATER_NAMES: Final = {".open": ".ended", ".part": ""}
"""What a file is called when the input, or the artifact, is complete."""


class Parts(NamedTuple):
    """What goes into the file."""

    database: Path | None
    """A copy of it."""
    data_dir: Path
    logs: bool = True
    """And artifacts, and contents that are whole."""
    secrets_key: Path | None = None
    """The file of the key of secrets, where it is asked for."""
    archive: Path | None = None
    """Where packed logs are, if not in the data directory; in the file they are in `archive`."""


def write_backup(target: Path, parts: Parts, packed: bool) -> None:
    """Write the file and have it on the disk; `packed`: compressed. OSError."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz" if packed else "w") as archive:
            if parts.database is not None:
                archive.add(parts.database, "server.db", filter=_private)
            if parts.secrets_key is not None:
                archive.add(parts.secrets_key, "secrets.key", filter=_private)
            for path in _files(parts):
                _add(archive, path, path.relative_to(parts.data_dir))
            # Afterwards: a log that is packed meanwhile is there before it is gone from the others.
            packed_logs = parts.archive or parts.data_dir / "archive"
            for path in sorted(packed_logs.rglob("*.log.gz")) if parts.logs else ():
                _add(archive, path, Path("archive") / path.relative_to(packed_logs))
        file.flush()
        os.fsync(file.fileno())


def _files(parts: Parts) -> Iterator[Path]:
    # Inputs first: nobody else has the bytes of a job that waits.
    inputs = parts.data_dir / "inputs"
    if inputs.is_dir():
        yield from sorted(inputs.iterdir())
    # Without it the restored server could sign no webhook's message.
    key = parts.data_dir / "webhooks.key"
    if key.is_file():
        yield key
    if parts.logs:
        yield from sorted((parts.data_dir / "logs").rglob("*.log"))
        artifacts = (parts.data_dir / "artifacts").rglob("*")
        yield from sorted(path for path in artifacts if path.is_file())
        contents = (parts.data_dir / "contents").glob("??/*")
        yield from sorted(path for path in contents if path.is_file())


def _add(archive: tarfile.TarFile, path: Path, name_inside: Path) -> None:
    later = path.with_suffix(_LATER_NAMES.get(path.suffix, path.suffix))
    for now in (path, later):
        with suppress(FileNotFoundError), now.open("rb", buffering=0) as file:
            name = name_inside.with_name(now.name).as_posix()
            entry = archive.gettarinfo(arcname=name, fileobj=file)
            with _Padded(file, entry.size) as whole:
                sparse.add(archive, _private(entry), whole)
            return


class _Padded(io.FileIO):
    """A file that has its first length whatever becomes of it: what was cut off is read as zeros.

    The tar archive has promised that length already. A log that was cut is one whose bytes are sent
    again, and compared with their checksum at its end.
    """

    def __init__(self, file: io.FileIO, size: int) -> None:
        super().__init__(os.dup(file.fileno()), "rb")
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes; at the end of the first length, none."""
        left = max(0, self._size - self.tell())
        wanted = left if size is None or size < 0 else min(size, left)
        data = super().read(wanted) or b""
        if not data and wanted:
            data = bytes(wanted)
            self.seek(wanted, os.SEEK_CUR)
        return data


def _private(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Unpacked, it is its owner's alone: a database holds the environments of jobs."""
    entry.mode = 0o600
    return entry
