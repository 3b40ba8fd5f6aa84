"""Where the keys of secrets come from: a file that only the server's user reads, or the variable
REMOTE_SERVER_SECRETS_KEY. Touches that file.

It is read again at each use: whoever repairs it need not restart the server.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final, Protocol

from remote_protocol.errors import ErrorCode
from remote_server.disk.files import sync_folder
from remote_server.errors import ServerError
from remote_server.secret_settings import SecretsPart
from remote_server.secrets.keys import KeyRing, SealingKey, parse_keys

VARIABLE: Final = "REMOTE_SERVER_SECRETS_KEY"
HOW_TO_MAKE: Final = "openssl rand -base64 32"
_LARGEST: Final = 4096
_FOR_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class KeyUnusable(ServerError):
    """The keys of secrets cannot be used; the text says why, and the cure."""

    code = ErrorCode.CONFLICT


class KeyMissing(KeyUnusable):
    """There is no key yet, or it is lost."""


class KeySource(Protocol):
    """The server's keys."""

    def ring(self) -> KeyRing:
        """All of them, now. KeyUnusable; KeyMissing."""

    def make(self, key: SealingKey) -> None:
        """Keep the first key. KeyUnusable where that is the operator's business."""

    def replace(self, ring: KeyRing) -> None:
        """Keep these keys instead, durably. KeyUnusable."""


class GivenKeys:
    """Keys of the environment."""

    def __init__(self, text: str) -> None:
        self._text = text

    def ring(self) -> KeyRing:
        """All of them. KeyUnusable."""
        try:
            return parse_keys(self._text)
        except ValueError as error:
            raise KeyUnusable(
                f"the variable {VARIABLE} holds no key of secrets ({error}); make one with: "
                f"{HOW_TO_MAKE}"
            ) from None

    def make(self, key: SealingKey) -> None:
        """Nothing is missing as long as the variable is there."""
        raise KeyUnusable(f"the keys of secrets come from {VARIABLE}")

    def replace(self, ring: KeyRing) -> None:
        """Whoever sets the variable does it."""
        raise KeyUnusable(f"the keys of secrets come from {VARIABLE}, which only you can change")


class KeyFile:
    """A file with one key a line, the newest last."""

    def __init__(self, path: Path, own: bool) -> None:
        self.path = path
        self._own = own
        """It is the server's own, in its data directory, and may be made by it."""

    def ring(self) -> KeyRing:
        """All of them. KeyMissing without the file; KeyUnusable when it is damaged, or others can
        read it."""
        path = self.path
        try:
            with path.open("rb") as opened:
                mode = os.fstat(opened.fileno()).st_mode
                raw = opened.read(_LARGEST + 1)
        except FileNotFoundError:
            raise KeyMissing(self._missing()) from None
        except OSError as error:
            raise KeyUnusable(
                f"the key of secrets {path} cannot be read: {error.strerror}; check its owner, "
                "who must be the server's user"
            ) from None
        if os.name == "posix" and mode & _FOR_OTHERS:
            raise KeyUnusable(
                f"the key of secrets {path} can be read by others on this host (mode "
                f"{stat.S_IMODE(mode):04o}): chmod 600 {path}, and then give the secrets a new "
                "key if anybody may have read it (remote-server secret rotate-key)"
            )
        try:
            if len(raw) > _LARGEST:
                raise ValueError("it is too large")
            return parse_keys(raw.decode("ascii"))
        except ValueError as error:
            why = "it is not text" if isinstance(error, UnicodeDecodeError) else error
            raise KeyUnusable(
                f"the key of secrets {path} is damaged ({why}); restore the file, or delete all "
                "secrets, remove the file and set them again"
            ) from None

    def make(self, key: SealingKey) -> None:
        """Keep the first key. KeyUnusable."""
        if not self._own:
            raise KeyUnusable(
                f"{self._missing()}; to make a new one: (umask 077 && {HOW_TO_MAKE} > {self.path})"
            )
        self._write((key,))

    def replace(self, ring: KeyRing) -> None:
        """Keep these keys instead, durably. KeyUnusable."""
        self._write(ring.keys)

    def _missing(self) -> str:
        cure = (
            "restore the file from where it is kept (backups are without it), or delete all "
            "secrets and set them again"
            if self._own
            else "see [secrets] key_file, and restore the file"
        )
        return f"the key of secrets is missing: there is no {self.path}; {cure}"

    def _write(self, keys: tuple[SealingKey, ...]) -> None:
        part = self.path.with_name(f".{self.path.name}.new")
        try:
            part.unlink(missing_ok=True)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write("".join(f"{key.text}\n" for key in keys).encode())
                opened.flush()
                os.fsync(descriptor)
            part.replace(self.path)
            if os.name == "posix":
                # What is sealed with a key must not be on the disk before its name is.
                sync_folder(self.path.parent)
        except OSError as error:
            raise KeyUnusable(
                f"the key of secrets {self.path} cannot be written: {error.strerror}; make room "
                "on that disk, or change the owner of its directory"
            ) from None


def open_keys(settings: SecretsPart, own: Path) -> KeySource:
    """The keys as they are configured; `own` is the server's file in its data directory."""
    text = "" if settings.key is None else settings.key.get_secret_value()
    if text:
        return GivenKeys(text)
    file = settings.key_file
    return KeyFile(own, own=True) if file is None else KeyFile(file, own=False)
