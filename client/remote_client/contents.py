"""Sends contents: files of any size that jobs name by their SHA-256. Touches the files and the
network.

What the server has of one already is not sent again: a call that was broken off goes on where it
was when it is repeated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO, Final, NamedTuple

from remote_client.calls import Calls
from remote_client.errors import ApiError, ClientError
from remote_protocol.limits import MAX_CONTENT_PART

_PIECE: Final = 1 << 20
_MOST_GAPS: Final = 10


Opened = Callable[[], AbstractContextManager[BinaryIO]]
"""Opens a file, from its beginning on. OSError."""


class LocalContent(NamedTuple):
    """A file that a job names by its digest."""

    name: str
    """What people call it."""
    opened: Opened
    digest: str
    size: int


def local_content(name: str, opened: Opened) -> LocalContent:
    """A file with its digest. OSError."""
    digest, size = hashlib.sha256(), 0
    with opened() as file:
        file.seek(0)
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return LocalContent(name, opened, digest.hexdigest(), size)


def send_content(
    calls: Calls, content: LocalContent, progress: Callable[[int], None] = lambda _: None
) -> int:
    """See to it that the server has a content; how many bytes were sent. `progress` hears how many
    are there. ApiError, OSError."""
    known = calls.content(content.digest)
    if known["state"] == "complete":
        return 0
    with content.opened() as file:
        return _send(calls, content, file, int(known["received"]), progress)


def _send(
    calls: Calls, content: LocalContent, file: BinaryIO, at: int, progress: Callable[[int], None]
) -> int:
    digest, size = content.digest, content.size
    sent, gaps, at = 0, 0, min(at, size)
    while True:
        file.seek(at)
        part = file.read(min(MAX_CONTENT_PART, size - at))
        try:
            answer = calls.send_content(digest, size, at, part)
        except ApiError as error:
            # Somebody with the same token sends it, too, or the server gave it up meanwhile.
            gaps += 1
            if error.code != "content_gap" or gaps > _MOST_GAPS:
                raise
            at = min(int(calls.content(digest)["received"]), size)
            continue
        sent += len(part)
        at = int(answer["received"])
        progress(at)
        if answer["state"] == "complete":
            return sent
        if not part:
            raise ClientError(
                f"{content.name} became shorter while it was sent; run it again when nothing "
                "writes to it"
            )
