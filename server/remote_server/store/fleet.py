"""All agents in short: what lists and overviews choose from. Queries live here.

A whole row of an agent takes longer to read than to find: of thousands of them, only what tells
them apart is read, and the few texts that most of them share are parsed once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from sqlalchemy import select

from remote_server.domain.model import Agent
from remote_server.slices import slices
from remote_server.store.agents import find_agent
from remote_server.store.ports import Reader, Row
from remote_server.store.repository import Repository
from remote_server.store.schema import agents

_FLEET: Final = select(
    agents.c.name,
    agents.c.queues,
    agents.c.labels,
    agents.c.capacity,
    agents.c.paused,
    agents.c.pause_comment,
    agents.c.draining,
    agents.c.version,
    agents.c.condition,
    agents.c.last_seen_at,
    agents.c.platform,
).order_by(agents.c.name)


class FleetRow(NamedTuple):
    """One agent in short."""

    name: str
    queues: tuple[str, ...]
    labels: Mapping[str, str]
    """Shared with other rows: never changed."""
    capacity: Mapping[str, int]
    paused: bool
    pause_comment: str
    draining: bool
    version: str
    accepting: bool
    """Whether it takes jobs, as it last said itself."""
    reason: str
    """Why it does not."""
    last_seen_at: float | None
    platform: str
    """JSON, not parsed."""

    @property
    def host(self) -> str:
        """Its host's name; parsed at each use."""
        return str(json.loads(self.platform).get("hostname", ""))

    @property
    def kinds(self) -> list[str]:
        """Kinds of jobs that it runs besides those that every agent does; parsed at each use."""
        # Most have none, and pages go through thousands of agents.
        return list(json.loads(self.platform)["kinds"]) if '"kinds":["' in self.platform else []


class Fleet(Repository):
    """The repository of all agents in short."""

    async def fleet(self) -> list[FleetRow]:
        """All agents by name."""
        rows = await self._database.read(lambda reader: reader.all(_FLEET), long=True)
        return [_fleet_row(row) async for part in slices(rows) for row in part]

    async def agents_named(self, names: Sequence[str]) -> list[Agent]:
        """These agents, without those that are gone."""

        def find(reader: Reader) -> list[Agent | None]:
            return [find_agent(reader, name) for name in names]

        return [agent for agent in await self._database.read(find) if agent is not None]


def _fleet_row(row: Row) -> FleetRow:
    accepting, reason = _condition(row.condition)
    return FleetRow(
        row.name,
        _list(row.queues),
        _labels(row.labels),
        _capacity(row.capacity),
        bool(row.paused),
        row.pause_comment,
        bool(row.draining),
        row.version,
        accepting,
        reason,
        row.last_seen_at,
        row.platform,
    )


@lru_cache(maxsize=1024)
def _list(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


@lru_cache(maxsize=4096)
def _labels(text: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(text)
    return found


@lru_cache(maxsize=1024)
def _capacity(text: str) -> dict[str, int]:
    found: dict[str, int] = json.loads(text)
    return found


@lru_cache(maxsize=1024)
def _condition(text: str) -> tuple[bool, str]:
    found = json.loads(text)
    return bool(found.get("accepting", True)), str(found.get("reason", ""))
