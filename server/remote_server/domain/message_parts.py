"""Puts together what an agent says in parts: a hello with its inventory. Pure.

A part says how many items follow. Nothing else may come in between, so that a link never waits for
more than one message to be whole.
"""

from __future__ import annotations

from typing import Final

from remote_protocol import messages as m
from remote_protocol.errors import RemoteProtocolError
from remote_protocol.limits import MAX_INVENTORY

_IN_PARTS: Final = frozenset({m.Hello, m.Inventory})


class PartAssembler:
    """One link's messages: `hear` gives each of them when it is whole."""

    def __init__(self) -> None:
        self._hello: m.Hello | None = None
        self._items: list[m.InventoryItem] = []
        self._following = 0

    def hear(self, message: m.AgentMessage) -> m.AgentMessage | None:
        """The message that is whole now; None while parts of it are missing.

        RemoteProtocolError when a part does not follow from the one before it.
        """
        if not self._following and type(message) not in _IN_PARTS:
            # Asked first: what an agent says is nearly always whole.
            return message
        match message:
            case m.Hello(inventory=items, following=rest) if rest or self._following:
                self._begin(message.type)
                self._hello = message
                self._items = list(items)
                self._expect(len(items), rest, MAX_INVENTORY)
                return None
            case m.Inventory(items=items, following=rest):
                self._continue(message.type, self._hello is not None, len(items), rest)
                self._items += items
                return None if rest else self._whole_hello()
        if self._following:
            raise RemoteProtocolError(
                f"{message.type} came while {self._following} attempts of a message were missing"
            )
        return message

    def _begin(self, kind: str) -> None:
        if self._following:
            raise RemoteProtocolError(f"a {kind} came inside another message")

    def _expect(self, count: int, following: int, most: int) -> None:
        if count + following > most or not count:
            raise RemoteProtocolError(
                f"{count} attempts and {following} more; at most {most} are allowed, and each "
                "part has some"
            )
        self._following = following

    def _continue(self, kind: str, begun: bool, count: int, following: int) -> None:
        if not begun or self._following != count + following:
            raise RemoteProtocolError(
                f"{kind} has {count} attempts and says that {following} follow, but "
                f"{self._following} were missing"
            )
        self._following = following

    def _whole_hello(self) -> m.Hello | None:
        hello, self._hello = self._hello, None
        items, self._items = self._items, []
        # Bounded by _expect, beyond what one part of it may have.
        return hello and hello.model_copy(update={"inventory": items, "following": 0})
