"""WebSockets to the server, as the link uses them. Touches the network only."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.protocol import OPEN
from websockets.typing import Subprotocol

from remote_agent.connection.endpoint import OPEN_TIMEOUT, Endpoint, tls_of
from remote_agent.connection.tunnel import open_tunnel
from remote_protocol.limits import MAX_SERVER_MESSAGE, SUBPROTOCOL

CLOSE_TIMEOUT: Final = 2.0
UNSENT: Final = 256 * 1024
"""Bytes not yet sent that the kernel may hold: a control message waits for no more."""
_TOGETHER: Final = 32 * 1024
"""Bytes of frames that are copied into one write: of more the copy costs as much as the write."""


class ServerSocket(ClientConnection):
    """An open WebSocket to the server."""

    @property
    def fault(self) -> str:
        """What ended it when no peer closed it."""
        return str(self.recv_exc) if self.recv_exc else "the network cut it"

    def write(self, frame: str | memoryview) -> None:
        """Put a frame behind those that leave with the next `flush`."""
        if self.protocol.state is not OPEN:
            return
        if isinstance(frame, str):
            self.protocol.send_text(frame.encode())
        else:
            self.protocol.send_binary(frame)

    def flush(self) -> None:
        """Send what was written, without waiting."""
        frames = self.protocol.data_to_send()
        if len(frames) > 1 and sum(map(len, frames)) <= _TOGETHER:
            # One system call here, and one wake-up of the server.
            frames = [b"".join(frames)]
        for data in frames:
            self.transport.write(data)

    def keep_kernel_buffer_short(self) -> None:
        """Have little wait in the kernel, where nothing overtakes it."""
        option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
        raw = self.transport.get_extra_info("socket")
        if option is not None and raw is not None:
            try:
                raw.setsockopt(socket.IPPROTO_TCP, option, UNSENT)
            except OSError:
                return  # only a matter of speed


class _Direct(connect):
    """Follows no redirect: a token and jobs belong to the server that was named, and a location
    that makes no sense would be an error of a kind that nobody expects."""

    def process_redirect(self, exc: Exception) -> Exception:
        """It is the answer."""
        return exc


async def open_websocket(endpoint: Endpoint, url: str | None = None) -> ServerSocket:
    """A WebSocket to the server, through its proxy if it has one; `url`: another one than the
    session's. Raises what `explain` knows."""
    url = url or endpoint.session_url
    options: dict[str, Any] = {}
    if url.startswith("wss:"):
        options["ssl"] = tls_of(endpoint)
    via = endpoint.via
    if via is not None:
        async with asyncio.timeout(OPEN_TIMEOUT):
            options["sock"] = await open_tunnel(via, *endpoint.address)
    opened = await _Direct(
        url,
        additional_headers={"Authorization": f"Bearer {endpoint.token}"},
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        compression=None,
        proxy=None,
        open_timeout=OPEN_TIMEOUT,
        close_timeout=CLOSE_TIMEOUT,
        ping_interval=None,
        max_size=MAX_SERVER_MESSAGE,
        max_queue=64,
        # Drained below the low mark after each chunk: at most one of them is in the way.
        write_limit=(64 * 1024, 32 * 1024),
        create_connection=ServerSocket,
        **options,
    )
    assert isinstance(opened, ServerSocket)
    opened.keep_kernel_buffer_short()
    return opened
