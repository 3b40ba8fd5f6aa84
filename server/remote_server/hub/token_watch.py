"""Ends links whose token has expired or was revoked: at once, not only at the next handshake.

Reads the store. Expiry is looked at in each tick, revocation after each commit that changed tokens.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from remote_protocol.errors import CloseCode
from remote_server.domain.model import Token
from remote_server.errors import NotFound, StoreUnavailable

if TYPE_CHECKING:
    from remote_server.hub.link import Link

_SLICE: Final = 200
_AGAIN: Final = 1.0
_AFTER: Final = 0.2
"""Seconds in which whoever revoked it may close the link with better words, and with what the agent
must still be told."""


class TokenStore(Protocol):
    """What is asked of the store."""

    async def token(self, token: str) -> Token:
        """One token by its id. NotFound."""


class Standing:
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
            links: Iterable[Link] = iter(list(self._links()))
            try:
                while part := list(islice(links, _SLICE)):
                    for link in part:
                        await self._judge_one(link)
                    await asyncio.sleep(0)
            except StoreUnavailable:
                self._again = True
                await asyncio.sleep(_AGAIN)

    async def _judge_one(self, link: Link) -> None:
        try:
            revoked = (await self._store.token(link.token.id)).revoked
        except NotFound:
            revoked = True
        if revoked and not link.closed:
            link.close(CloseCode.UNREGISTERED, "the agent's token was revoked")
