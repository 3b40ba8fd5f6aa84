"""The files that a job brings: each stays inside the work directory, and what it carries itself of
them fits. Pure."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Sequence
from typing import Annotated, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from remote_protocol.contents import ContentRef, ContentSize, Digest
from remote_protocol.limits import (
    MAX_FILE_DEPTH,
    MAX_FILE_NAME,
    MAX_FILE_PATH,
    MAX_FILES_SIZE,
)
from remote_protocol.units import plain_size

_MAX_CONTENT: Final = (MAX_FILES_SIZE + 2) // 3 * 4
"""Characters of base64 that all files together may have."""


def _text(path: object) -> object:
    if isinstance(path, str):
        _size(path[: MAX_FILE_PATH + 1])
    return path


def _inside(path: str) -> str:
    parts = path.replace("\\", "/").split("/")
    if path[0] in "/\\" or ".." in parts or ":" in parts[0] or "\0" in path:
        raise ValueError("a file's path is relative and stays inside the work directory")
    if parts[-1] in ("", "."):
        raise ValueError("a file's path ends with the file's name")
    if any(_size(part) > MAX_FILE_NAME for part in parts):
        raise ValueError(f"a name in a file's path has at most {MAX_FILE_NAME} bytes")
    if _size(path) > MAX_FILE_PATH or len(parts) > MAX_FILE_DEPTH:
        raise ValueError(
            f"a file's path has at most {MAX_FILE_PATH} bytes and {MAX_FILE_DEPTH} names"
        )
    return path


FilePath = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_FILE_PATH),
    BeforeValidator(_text),
    AfterValidator(_inside),
]
"""Relative to the work directory; it cannot leave it. Each of its parts has at most 255 bytes in
UTF-8, which is what file systems take (NAME_MAX)."""


class JobFile(BaseModel):
    """A file that is put into the work directory before the job starts: a small one with its bytes,
    any other by its SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    path: FilePath
    """Relative to the work directory; it cannot leave it. Each of its parts has at most 255 bytes
    in UTF-8, which is what file systems take (NAME_MAX)."""
    content: Annotated[str, StringConstraints(max_length=_MAX_CONTENT)] | None = None
    """Base64 (RFC 4648 §4) of the bytes."""
    digest: Digest | None = None
    """SHA-256 of the bytes, in place of `content`: they were sent before
    (`PATCH /api/v1/contents/{digest}`) with the same token."""
    size: ContentSize | None = None
    """How many bytes a file has that is named by `digest`."""
    mode: int = Field(default=0o600, ge=0o400, le=0o777)

    @field_validator("content")
    @classmethod
    def _base64(cls, content: str | None) -> str | None:
        try:
            b64decode(content or "", validate=True)
        except (Base64Error, ValueError) as error:
            raise ValueError("a file's content is not valid base64") from error
        return content

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.content is None) == (self.digest is None):
            raise ValueError("give a file's content, or its digest, one of them")
        if (self.digest is None) != (self.size is None):
            raise ValueError("a file that is named by its digest has a size, and only such a one")
        return self

    @property
    def data(self) -> bytes:
        """The decoded bytes of one that has them."""
        return b64decode(self.content or "")

    @property
    def stored(self) -> ContentRef | None:
        """What it names; None for one that has its bytes."""
        if self.digest is None or self.size is None:
            return None
        return ContentRef(self.digest, self.size)


def check_together(files: Sequence[JobFile]) -> None:
    """ValueError when files are too large together, or two of them want the same place."""
    if sum(len(file.content or "") * 3 // 4 for file in files) > MAX_FILES_SIZE:
        raise ValueError(f"the files are larger than {plain_size(MAX_FILES_SIZE)} together")
    taken: set[tuple[str, ...]] = set()
    for file in files:
        place = _place(file.path)
        if place in taken:
            raise ValueError(f"two files have the path {file.path!r}")
        taken.add(place)
    for file in files:
        place = _place(file.path)
        for length in range(1, len(place)):
            if place[:length] in taken:
                folder = "/".join(place[:length])
                raise ValueError(f"{folder!r} cannot be a file and the folder of {file.path!r}")


def _place(path: str) -> tuple[str, ...]:
    """Where a path leads; Windows takes both separators."""
    return tuple(part for part in path.replace("\\", "/").split("/") if part not in ("", "."))


def _size(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise ValueError("a file's path is not text in UTF-8") from None
