"""The agents all together: how many are in which state, and those that somebody looks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from remote_protocol.states import AgentState
from remote_server.queries.memo import Memo
from remote_server.queries.sources import Sources
from remote_server.slices import slices
from remote_server.store.fleet import FleetRow

_FREE: Final = 500
"""A fleet up to this size is read each time: what somebody has just changed shows at once."""
HELD: Final = frozenset({"paused", "draining", "warning"})
"""The conditions of agents that are online and get no jobs."""


class Member(NamedTuple):
    """One agent, and how it is."""

    row: FleetRow
    state: AgentState
    condition: str
    """`offline`, `stale`, `draining`, `paused`, `warning` (it says itself that it takes no jobs),
    else `online`."""

    @property
    def places(self) -> int:
        """How many jobs of weight one it takes at a time."""
        return sum(self.row.capacity.values())


class Tally(NamedTuple):
    """How many agents there are of each kind."""

    total: int
    online: int
    stale: int
    offline: int
    held: int
    """Online, and get no jobs."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which agents a list has."""

    text: str = ""
    """A part of the name, the host's name or the comment; upper and lower case are the same."""
    state: str = ""
    """`online`, `stale`, `offline`, or `held`; empty: any."""
    queue: str = ""
    label: str = ""
    """`key=value`, or `key` with any value."""
    version: str = ""

    def fits(self, member: Member) -> bool:
        """Whether an agent is one of them."""
        row = member.row
        if self.queue and self.queue not in row.queues:
            return False
        if self.version and self.version != row.version:
            return False
        if self.label and not self._has_label(row):
            return False
        if self.state == "held" and member.condition not in HELD:
            return False
        if self.state not in ("", "held", member.state.value):
            return False
        return not self.text or self._has_text(row)

    def _has_label(self, row: FleetRow) -> bool:
        key, equals, value = self.label.partition("=")
        return key in row.labels and (not equals or row.labels[key] == value)

    def _has_text(self, row: FleetRow) -> bool:
        part = self.text.lower()
        texts = (row.name, row.pause_comment, row.reason, row.host)
        return any(part in text.lower() for text in texts)


def condition_of(state: AgentState, *, paused: bool, draining: bool, accepting: bool) -> str:
    """How an agent is, in a word; see Member."""
    if state is not AgentState.ONLINE:
        return state.value
    return "draining" if draining else "paused" if paused else "online" if accepting else "warning"


def tally(members: Iterable[Member]) -> Tally:
    """Count them."""
    conditions = Counter(member.condition for member in members)
    held = sum(conditions[name] for name in HELD)
    online = conditions["online"] + held
    stale, offline = conditions["stale"], conditions["offline"]
    return Tally(online + stale + offline, online, stale, offline, held)


async def chosen(members: Sequence[Member], wanted: Wanted) -> list[Member]:
    """Those that a list has."""
    return [one async for part in slices(members) for one in part if wanted.fits(one)]


class FleetReader:
    """Reads all agents; those of a large fleet not too often."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._memo: Memo[Sequence[Member]] = Memo(
            self._read, keep=lambda members: len(members) > _FREE
        )

    async def members(self) -> Sequence[Member]:
        """All agents by name."""
        return await self._memo.get()

    async def _read(self) -> Sequence[Member]:
        rows = await self._sources.store.fleet()
        return [self._member(row) async for part in slices(rows) for row in part]

    def _member(self, row: FleetRow) -> Member:
        state = self._sources.agents.state_of(row.name)
        condition = condition_of(
            state, paused=row.paused, draining=row.draining, accepting=row.accepting
        )
        return Member(row, state, condition)
