"""Turns of those who work on pieces of long answers, shared fairly between tokens. No I/O.

A piece is worked on in the loop, so only a few are at a time. Those who wait are served by tokens
in rotation: somebody with hundreds of searches or viewers takes turns with one who has one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque


class Turns:
    """`at_once` turns; each `Turn` of a token is an asynchronous context that holds one."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    def of(self, token: str) -> Turn:
        """The turns of a token, by its id."""
        return Turn(self, token)

    async def take(self, token: str) -> None:
        """Wait for a turn."""
        if self._free and not self._waiting:
            self._free -= 1
            return
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(token, deque()).append(given)
        try:
            await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():
                # It was given and is not used.
                self.give_back()
            raise

    def give_back(self) -> None:
        """End a turn: the next token that waits gets it."""
        while self._waiting:
            token, line = self._waiting.popitem(last=False)
            given = line.popleft()
            if line:
                self._waiting[token] = line
            if not given.done():
                given.set_result(None)
                return
        self._free += 1


class Turn:
    """A token's share."""

    __slots__ = ("_token", "_turns")

    def __init__(self, turns: Turns, token: str) -> None:
        self._turns = turns
        self._token = token

    async def __aenter__(self) -> None:
        await self._turns.take(self._token)

    async def __aexit__(self, *_: object) -> None:
        self._turns.give_back()
