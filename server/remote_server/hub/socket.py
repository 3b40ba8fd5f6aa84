"""An agent's WebSocket as the hub uses it: aiohttp's, or a simulated one. Pure types."""

from __future__ import annotations

from typing import Any, Protocol

from aiohttp import WSMessage


class Socket(Protocol):
    """One open WebSocket (`web.agents.handshake.AgentSocket`)."""

    @property
    def closed(self) -> bool:
        """Nothing can be sent any more."""

    def __aiter__(self) -> Socket:
        """The frames that come, until it is closed."""

    async def __anext__(self) -> WSMessage:
        """The next frame. ConnectionError when the peer left in the middle of one."""

    @property
    def room(self) -> bool:
        """Whether all that was written has left: a frame can be written without waiting."""

    def write_text(self, data: str) -> None:
        """Write a text frame now. OSError."""

    async def send_str(self, data: str) -> None:
        """Send a text frame; waits for room. OSError, RuntimeError."""

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary frame; waits for room. OSError, RuntimeError."""

    async def close(self, *, code: int, message: bytes) -> bool:
        """Say why, and close. OSError, RuntimeError."""

    def get_extra_info(self, name: str) -> Any:
        """What its transport knows; None when it does not."""
