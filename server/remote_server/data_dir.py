"""The server's data directory: created, checked, locked; it keeps the first admin token.

    <data-dir>/server.db     database          <data-dir>/logs/   logs of attempts
    <data-dir>/admin-token   0600, the first   <data-dir>/lock    held while a server runs
    <data-dir>/starts        how often a server started here
    <data-dir>/inputs/       inputs of jobs that have not ended
    <data-dir>/webhooks.key  0600, what the secrets of webhooks are made from
    <data-dir>/secrets.key   0600, what secrets of jobs are encrypted with in the database
    <data-dir>/archive/      packed logs, unless the configuration names another directory
    <data-dir>/agent-logs/   the agents' own logs
    <data-dir>/artifacts/    files that jobs gave back
    <data-dir>/contents/     files and bundles that jobs name by their SHA-256

Touches that directory only.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

from remote_server.domain.signing import SigningKey
from remote_server.errors import ServerError

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]


class DataDirUnusable(ServerError):
    """The data directory cannot be created or written."""

    exit_code = 2


class DataDirBusy(ServerError):
    """Another server works on the data directory."""


class DataDir:
    """One data directory. `lock` is held until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs = path / "logs"
        self.archive = path / "archive"
        self.inputs = path / "inputs"
        self.agent_logs = path / "agent-logs"
        self.artifacts = path / "artifacts"
        self.contents = path / "contents"
        self.admin_token = path / "admin-token"
        self.starts = path / "starts"
        self.webhooks_key = path / "webhooks.key"
        self.secrets_key = path / "secrets.key"
        self._lock = -1

    def prepare(self) -> None:
        """Create it where it is missing. DataDirUnusable when it cannot be written."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            folders = (
                *(self.logs, self.archive, self.inputs),
                *(self.agent_logs, self.artifacts, self.contents),
            )
            for folder in folders:
                folder.mkdir(mode=0o700, exist_ok=True)
            for folder in (self.path, *folders):
                # Unpacked from a backup, or made by hand.
                if folder.stat().st_mode & 0o077:
                    with contextlib.suppress(PermissionError):
                        folder.chmod(0o700)
            probe = self.path / ".probe"
            probe.write_bytes(b"")
            probe.unlink()
        except (FileExistsError, NotADirectoryError):
            raise DataDirUnusable(
                f"the data directory {self.path} is not a directory; "
                "give another one with --data-dir"
            ) from None
        except OSError as error:
            raise self._unusable(self.path, error) from error

    def lock(self) -> None:
        """Keep other servers out (flock: the kernel gives it back when the process dies).

        DataDirBusy when one is at work here; DataDirUnusable when it cannot be known.
        """
        if fcntl is None:
            return
        name = self.path / "lock"
        try:
            descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(name, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            other = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            who = f" (process {other})" if other else ""
            raise DataDirBusy(
                f"another remote-server{who} is using the data directory {self.path}; "
                "stop it first, or give another directory with --data-dir"
            ) from None
        # For people; a full disk must not keep the lock from being held.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._lock = descriptor

    def release(self) -> None:
        """Let others in."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def read_admin_token(self) -> str | None:
        """The first admin token; None when its file was removed."""
        with contextlib.suppress(OSError):
            return self.admin_token.read_text(encoding="ascii").strip() or None
        return None

    def read_starts(self) -> int:
        """How many starts of a server this directory has seen; 0 when it does not say."""
        with contextlib.suppress(OSError, ValueError):
            return int(self.starts.read_text(encoding="ascii"))
        return 0

    def write_starts(self, count: int) -> None:
        """Count the starts, durably: a database that counts less is an older copy.
        DataDirUnusable."""
        self._write(self.starts, str(count))

    def write_admin_token(self, text: str) -> None:
        """Keep the first admin token, readable by the owner only, durably. DataDirUnusable."""
        self._write(self.admin_token, text)

    def signing_key(self, file: Path | None, make: Callable[[], str]) -> SigningKey:
        """The key that secrets of webhooks are made from: that of a file of the configuration, or
        one of its own, which is made here when it is missing. DataDirUnusable."""
        own = self.webhooks_key
        if file is None and not own.exists():
            self._write(own, make())
        try:
            return SigningKey((file or own).read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise DataDirUnusable(
                f"{file or own}: the key of webhooks cannot be used ({why}); restore it from a "
                "backup, or remove it, start again and make new secrets for all webhooks "
                "(remotectl webhook rotate-secret)"
            ) from None

    def _write(self, file: Path, text: str) -> None:
        part = file.with_name(f".{file.name}.new")
        try:
            part.unlink(missing_ok=True)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(f"{text}\n".encode())
                opened.flush()
                os.fsync(descriptor)
            part.replace(file)
        except OSError as error:
            raise self._unusable(file, error) from error

    def _unusable(self, file: Path, error: OSError) -> DataDirUnusable:
        cure = (
            "make room on that disk"
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else "give another data directory with --data-dir, or change its owner"
        )
        return DataDirUnusable(f"{file} cannot be written: {error.strerror}; {cure}")
