"""Fetched artifacts on this disk: where each goes, what came of it before, whether it is whole.

Touches the folder that people name, and nothing beside it: the names come from a job, and are
checked as if it were hostile. What is there is never overwritten.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from remote_protocol.artifact_names import name_fault

_PIECE: Final = 1 << 20
_RESERVED: Final = frozenset({"con", "prn", "aux", "nul"})


class FileRefused(Exception):
    """A file is not fetched, or not kept; the text is a sentence."""


class Part:
    """A file that is being fetched. `offset` bytes of it are here."""

    def __init__(self, file: BinaryIO, offset: int) -> None:
        self._file = file
        self.offset = offset

    def write(self, piece: bytes) -> None:
        """Append a piece. FileRefused when the disk does not take it."""
        try:
            self._file.write(piece)
        except OSError as error:
            raise FileRefused(f"it cannot be written: {error.strerror}") from None
        self.offset += len(piece)


class ArtifactFile:
    """One artifact below `folder`. FileRefused when its name leads elsewhere."""

    def __init__(self, folder: Path, name: str, size: int, checksum: str) -> None:
        if (fault := name_fault(name)) or any(_is_odd(part) for part in name.split("/")):
            raise FileRefused(f"its name is refused: {fault or 'it means something else here'}")
        self.size = size
        self._checksum = checksum
        self.path = folder.joinpath(*name.split("/"))
        # By its checksum: what came of another file of this name is never gone on with.
        self._part = self.path.with_name(f".{checksum[:16]}.part")
        here = folder
        for part in name.split("/")[:-1]:
            here = here / part
            if here.is_symlink():
                raise FileRefused(f"{here} is a link; remove it, or name another --dir")

    def there(self) -> bool:
        """Whether it is here already. FileRefused when something else is in its place."""
        if not os.path.lexists(self.path):
            return False
        if self.path.is_file() and not self.path.is_symlink():
            with suppress(OSError):
                if self.path.stat().st_size == self.size and _sha256(self.path) == self._checksum:
                    return True
        raise FileRefused(f"{self.path} is another file; remove it, or name another --dir")

    @contextmanager
    def part(self) -> Iterator[Part]:
        """What has come of it, open to be appended to. FileRefused."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        flags |= getattr(os, "O_BINARY", 0)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.fdopen(os.open(self._part, flags, 0o666), "ab", buffering=0)
        except OSError as error:
            raise FileRefused(f"{self._part} cannot be made: {error.strerror}") from None
        with file:
            offset = os.fstat(file.fileno()).st_size
            if offset > self.size:
                file.truncate(0)
                offset = 0
            yield Part(file, offset)

    def finish(self) -> None:
        """Compare it, and give it its name. FileRefused when it is another file."""
        try:
            if _sha256(self._part) != self._checksum:
                self._part.unlink()
                raise FileRefused("what came has another checksum; it was removed, fetch it again")
            if hasattr(os, "O_NOFOLLOW"):
                os.link(self._part, self.path)  # a rename would overwrite
                self._part.unlink()
            else:
                self._part.rename(self.path)
        except FileExistsError:
            raise FileRefused(f"{self.path} exists by now; it is left alone") from None
        except OSError as error:
            raise FileRefused(f"{self.path} cannot be made: {error.strerror}") from None


def _is_odd(part: str) -> bool:
    """Whether Windows takes a name for something else: a device, a stream, a shorter name."""
    device = part.partition(".")[0].rstrip(" ").lower()
    numbered = device[:3] in ("com", "lpt") and device[3:].isdigit()
    return os.name == "nt" and (
        device in _RESERVED or numbered or part[-1] in ". " or any(c in part for c in '<>:"|?*')
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
