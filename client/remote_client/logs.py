"""Stored logs as a stream that survives: a broken link or a restarted server costs no byte.

The offset is all the state there is. Touches the network through the transport only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from remote_client.errors import NotOurs, Unreachable
from remote_client.transport import PATIENCE, Transport
from remote_protocol import cri

CRI_LOG: Final = "application/vnd.cri-log"


def stored(
    transport: Transport, path: str, attempt: int | None, offset: int, follow: bool
) -> Iterator[bytes]:
    """Whole CRI records of the log at `path` from byte `offset` on, in large pieces."""
    failures, pending = 0, b""
    while True:
        params = {"offset": str(offset + len(pending))}
        if attempt is not None:
            params["attempt"] = str(attempt)
        if follow:
            params["follow"] = "true"
        try:
            for piece, headers in transport.stream(path, params, CRI_LOG):
                failures = 0
                # The last attempt may be another one when a broken link comes back.
                attempt = attempt or int(headers.get("Remote-Attempt", 0)) or None
                pending = pending + piece if pending else piece
                cut = cri.complete(pending)
                if cut:
                    offset += cut
                    whole, pending = pending[:cut], pending[cut:]
                    yield whole
            return
        except Unreachable as error:
            hopeless = isinstance(error, NotOurs) or not transport.reached
            if hopeless or failures >= PATIENCE:
                raise
            transport.pause(failures, error)
            failures += 1
