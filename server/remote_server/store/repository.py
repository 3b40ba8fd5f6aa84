"""What the repositories of the store stand on: the database and the few things they share. No I/O
of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, literal_column, select

from remote_protocol.ids import ULID_ENTROPY, ulid_from_bytes, ulid_to_bytes
from remote_protocol.spec import JobSpec
from remote_server.errors import UnknownAgent, UnknownQueue, first_names
from remote_server.store.ports import Database, Reader
from remote_server.store.schema import agents, queues

_QUEUE: Final = select(queues.c.name).where(queues.c.name == bindparam("name"))
_QUEUES: Final = select(queues.c.name)
_AGENT: Final = select(agents.c.name).where(agents.c.name == bindparam("name"))
_AGENTS: Final = select(agents.c.name)

NONE_SKIPPED: Final[ColumnElement[Any]] = literal_column("0")
"""For `offset`: SQLAlchemy would otherwise put a value of its own beside a `LIMIT` parameter."""


class Ulids:
    """Makes ULIDs that only grow, so that the order of ids is the order of submission."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._last = 0

    def make(self, now: float) -> str:
        """The next one; `now` in Unix seconds. A clock that went back changes nothing."""
        raw = int(now * 1000).to_bytes(6, "big") + self._entropy(ULID_ENTROPY)
        # ulid/spec, monotonicity: no smaller than the last one plus one.
        self._last = max(int.from_bytes(raw, "big"), self._last + 1)
        return ulid_from_bytes(self._last.to_bytes(16, "big"))

    def reserve(self, now: float, count: int) -> str:
        """The next one; the `count` after it (`after`) belong to it, and are never made."""
        first = self.make(now)
        self._last += count
        return first


def after(ulid: str, number: int) -> str:
    """The ULID that comes so many after another one."""
    return ulid_from_bytes(
        (int.from_bytes(ulid_to_bytes(ulid), "big") + number).to_bytes(16, "big")
    )


class Repository:
    """Base of the store's repositories."""

    def __init__(self, database: Database, ulids: Ulids) -> None:
        self._database = database
        self._ulids = ulids


def require_queues(reader: Reader, names: set[str]) -> None:
    """UnknownQueue when one of the queues does not exist."""
    for name in sorted(names):
        if reader.one(_QUEUE, {"name": name}) is None:
            raise UnknownQueue(name, [row.name for row in reader.all(_QUEUES)])


def existing_agents(reader: Reader, names: Collection[str]) -> frozenset[str]:
    """Those of these agents that there are."""
    return frozenset(n for n in names if reader.one(_AGENT, {"name": n}) is not None)


def require_agents(reader: Reader, names: set[str]) -> None:
    """UnknownAgent when one of the agents does not exist."""
    if missing := sorted(names - existing_agents(reader, names)):
        raise UnknownAgent(missing[0], [row.name for row in reader.all(_AGENTS)])


def unplaceable(reader: Reader, specs: Sequence[JobSpec]) -> dict[int, UnknownQueue | UnknownAgent]:
    """The jobs that name a queue or an agent which does not exist, by their places. Each name is
    looked up once, and the names that there are only once for all: thousands may be wrong."""
    queues_asked = {spec.queue for spec in specs}
    agents_asked = {spec.agent for spec in specs if spec.agent is not None}
    no_queues = {n for n in queues_asked if reader.one(_QUEUE, {"name": n}) is None}
    no_agents = agents_asked - existing_agents(reader, agents_asked)
    known_queues = first_names(row.name for row in reader.all(_QUEUES)) if no_queues else []
    known_agents = first_names(row.name for row in reader.all(_AGENTS)) if no_agents else []
    found: dict[int, UnknownQueue | UnknownAgent] = {}
    for number, spec in enumerate(specs):
        if spec.queue in no_queues:
            found[number] = UnknownQueue(spec.queue, known_queues)
        elif spec.agent is not None and spec.agent in no_agents:
            found[number] = UnknownAgent(spec.agent, known_agents)
    return found


def is_state(column: ColumnElement[Any], *states: str) -> ColumnElement[bool]:
    """A condition with the states written out, so that a partial index can serve it."""
    if len(states) == 1:
        return column == literal_column(f"'{states[0]}'")
    return column.in_([literal_column(f"'{state}'") for state in states])
