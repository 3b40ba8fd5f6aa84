"""Ends links whose token has expired or was revoked: at once, not only at the next handshake.

Reads the store. Expiry is looked at in each tick, revocation after commits that changed tokens: for
all links by one read, since each enrolment is such a commit and there may be ten thousand links.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final, Protocol

from remote_protocol.errors import CloseCode
from remote_server.errors import StoreUnavailable

if TYPE_CHECKING:
    from remote_server.hub.link import Link

_AGAIN: Final = 1.0
_AFTER: Final = 0.2
"""Seconds in which whoever revoked it may close the link with better words, and with what the agent
must still be told."""


class TokenStore(Protocol):
    """What is asked of the store."""

    async def valid_agent_tokens(self) -> frozenset[str]:
        """The ids of all tokens of agents that were not revoked."""


class TokenWatch:
    """Judges the tokens of open links again. `links` gives all of them."""

    def __init__(self, store: TokenStore, links: Callable[[], Collection[Link]]) -> None:
        self._store = store
        self._links = links
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def expire(self) -> None:
        """Close the links whose token has expired."""
        now = time.time()
        for link in list(self._links()):
            expires = link.token.expires_at
            if expires is not None and expires <= now:
                link.close(CloseCode.UNREGISTERED, "the agent's token has expired")

    def changed(self) -> None:
        """Some token was changed or revoked."""
        self._again = True
        if self._links() and (self._task is None or self._task.done()):
            self._task = asyncio.ensure_future(self._judge())

    def stop(self) -> None:
        """Judge no more."""
        if self._task is not None:
            self._task.cancel()

    async def _judge(self) -> None:
        while self._again:
            await asyncio.sleep(_AFTER)
            self._again = False
            # Before the read: the token of each of them is older than what is read.
            links = list(self._links())
            try:
                valid = await self._store.valid_agent_tokens()
            except StoreUnavailable:
                self._again = True
                await asyncio.sleep(_AGAIN)
                continue
            for link in links:
                if link.token.id not in valid and not link.closed:
                    link.close(CloseCode.UNREGISTERED, "the agent's token was revoked")
