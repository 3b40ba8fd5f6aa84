"""Files that hold one secret, as containers mount them. Reads them.

What is in them gets into no error.
"""

from __future__ import annotations

from typing import Final

LARGEST: Final = 64 * 1024
"""Bytes: far more than any token or password."""


def read_secret(path: str) -> str:
    """The text of a file, without the line's end after it. ValueError with the cause; one that is
    missing has a FileNotFoundError as its `__cause__`."""
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ValueError(error.strerror or "it cannot be opened") from error
    if len(content) > LARGEST:
        raise ValueError("it is larger than 64 KiB")
    try:
        return content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("it is no text") from None
