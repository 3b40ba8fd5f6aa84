"""What the database knows of the attempts that an agent names, by one read. Queries live here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from remote_protocol.attempt_id import AttemptId
from remote_protocol.ids import ulid_to_bytes
from remote_protocol.states import AttemptState
from remote_server.domain.model import Agent, Lease
from remote_server.errors import NotFound
from remote_server.store.agents import find_agent
from remote_server.store.attempts import Found, find, lease_from, lease_rows
from remote_server.store.ports import Reader, Row
from remote_server.store.repository import Repository
from remote_server.store.restoration import asks_agents
from remote_server.store.specifications import Specs
from remote_server.store.unknown import has_job

CLOCK_ERROR: Final = 60.0
"""Seconds by which the server's clock may have been set back since the copy was made."""


@dataclass(slots=True)
class Known:
    """What the database knows of some attempts that an agent does not hold."""

    looked_up: set[AttemptId] = field(default_factory=set)
    leases: dict[AttemptId, Lease] = field(default_factory=dict)
    """Those that it may hold again (`may_return`), or holds since."""
    ended: set[AttemptId] = field(default_factory=set)
    """Those whose end is committed."""
    unknown: set[AttemptId] = field(default_factory=set)
    """Those whose jobs were made after the copy that this database was restored from."""

    def take(self, other: Known) -> None:
        """Add what is known of more attempts."""
        self.looked_up |= other.looked_up
        self.leases |= other.leases
        self.ended |= other.ended
        self.unknown |= other.unknown


class Reconciliation(NamedTuple):
    """All that is needed to answer a hello, of one moment."""

    agent: Agent
    leases: dict[AttemptId, Lease]
    """Every attempt that the agent holds, and those of its inventory that may return."""
    known: Known
    recall: bool
    """Agents may know more about some job than this database does."""


class _Rows(NamedTuple):
    """The plain result of the read."""

    agent: Agent | None
    held: list[Row]
    found: list[_Looked]
    recall: bool


class _Looked(NamedTuple):
    found: Found
    ended: bool
    unknown: bool


class Reconciliations(Repository):
    """The repository of what a hello is answered with."""

    specs: Specs
    unknown_since: float | None

    async def look_up(self, agent: str, keys: Iterable[AttemptId]) -> Known:
        """What is known of attempts that an agent names and does not hold."""
        wanted, since = list(keys), self.unknown_since
        found = await self._database.read(
            lambda reader: [_look(reader, key, since) for key in wanted]
        )
        return self._known(agent, found)

    async def reconcile(
        self,
        agent: str,
        inventory: Collection[AttemptId],
        known: Known,
        then: Callable[[Reconciliation], None],
    ) -> None:
        """Call `then` with what a hello is answered with, before any later commit is told: nothing
        comes between. `known`: what was looked up before, of a large inventory. NotFound."""
        since, looked_up = self.unknown_since, frozenset(known.looked_up)

        def read(reader: Reader) -> _Rows:
            held = lease_rows(reader, agent)
            holds = {(row.job, row.number) for row in held}
            rest = (key for key in inventory if key not in holds and key not in looked_up)
            found = [_look(reader, key, since) for key in rest]
            recall = since is not None and asks_agents(reader)
            return _Rows(find_agent(reader, agent), held, found, recall)

        def conclude(rows: _Rows) -> None:
            if rows.agent is None:
                raise NotFound("agent", agent)
            known.take(self._known(agent, rows.found))
            held = (lease_from(row, self.specs) for row in rows.held)
            leases = known.leases | {lease.key: lease for lease in held}
            then(Reconciliation(rows.agent, leases, known, rows.recall))

        await self._database.read(read, then=conclude)

    def _known(self, agent: str, looked: Iterable[_Looked]) -> Known:
        known = Known()
        for found, ended, unknown in looked:
            key = found.key
            known.looked_up.add(key)
            lease = found.lease(agent, self.specs)
            if lease is not None:
                known.leases[key] = lease
            elif ended:
                known.ended.add(key)
            elif unknown:
                known.unknown.add(key)
        return known


def made_at(job: str) -> float:
    """When a job's id was made, in Unix seconds (ulid/spec: 48 bits of milliseconds)."""
    return int.from_bytes(ulid_to_bytes(job)[:6], "big") / 1000


def _look(reader: Reader, key: AttemptId, since: float | None) -> _Looked:
    found = find(reader, key, since is not None)
    ended = found.known is not None and found.known.state == AttemptState.ENDED.value
    unknown = (
        since is not None
        and made_at(key.job) >= since - CLOCK_ERROR
        and not has_job(reader, key.job)
    )
    return _Looked(found, ended, unknown)
