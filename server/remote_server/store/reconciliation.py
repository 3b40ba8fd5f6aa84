"""What the database knows of the attempts that an agent names, by one read. Queries live here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState
from remote_server.domain.model import Agent, Lease
from remote_server.errors import NotFound
from remote_server.store.agents import find_agent
from remote_server.store.attempts import lease_from, lease_row, lease_rows, right_of
from remote_server.store.ports import Reader, Row
from remote_server.store.repository import Repository
from remote_server.store.restoration import is_left_alone
from remote_server.store.specifications import Specs


@dataclass(slots=True)
class Known:
    """What the database knows of some attempts that an agent does not hold."""

    looked_up: set[AttemptId] = field(default_factory=set)
    leases: dict[AttemptId, Lease] = field(default_factory=dict)
    """Those that it may hold again (`may_return`), or holds since."""
    ended: set[AttemptId] = field(default_factory=set)
    """Those whose end is committed."""
    left_alone: set[AttemptId] = field(default_factory=set)
    """Those that run to their end without a record."""

    def take(self, other: Known) -> None:
        """Add what is known of more attempts."""
        self.looked_up |= other.looked_up
        self.leases |= other.leases
        self.ended |= other.ended
        self.left_alone |= other.left_alone


class Reconciliation(NamedTuple):
    """All that is needed to answer a hello, of one moment."""

    agent: Agent
    leases: dict[AttemptId, Lease]
    """Every attempt that the agent holds, and those of its inventory that may return."""
    known: Known


class _Rows(NamedTuple):
    """The plain result of the read."""

    agent: Agent | None
    held: list[Row]
    found: list[_Looked]


class _Looked(NamedTuple):
    key: AttemptId
    row: Row | None
    left_alone: bool


class Reconciliations(Repository):
    """The repository of what a hello is answered with."""

    specs: Specs
    restored_since: float | None

    async def look_up(self, agent: str, keys: Iterable[AttemptId]) -> Known:
        """What is known of attempts that an agent names and does not hold."""
        wanted, since = list(keys), self.restored_since
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
        since, looked_up = self.restored_since, frozenset(known.looked_up)

        def read(reader: Reader) -> _Rows:
            held = lease_rows(reader, agent)
            holds = {(row.job, row.number) for row in held}
            rest = (key for key in inventory if key not in holds and key not in looked_up)
            found = [_look(reader, key, since) for key in rest]
            return _Rows(find_agent(reader, agent), held, found)

        def conclude(rows: _Rows) -> None:
            if rows.agent is None:
                raise NotFound("agent", agent)
            known.take(self._known(agent, rows.found))
            held = (lease_from(row, self.specs) for row in rows.held)
            leases = known.leases | {lease.key: lease for lease in held}
            then(Reconciliation(rows.agent, leases, known))

        await self._database.read(read, then=conclude)

    def _known(self, agent: str, looked: Iterable[_Looked]) -> Known:
        known = Known()
        for key, row, left_alone in looked:
            known.looked_up.add(key)
            lease = right_of(agent, row, self.specs)
            if lease is not None:
                known.leases[key] = lease
            elif row is not None and row.state == AttemptState.ENDED.value:
                known.ended.add(key)
            elif left_alone:
                known.left_alone.add(key)
        return known


def _look(reader: Reader, key: AttemptId, since: float | None) -> _Looked:
    left_alone = since is not None and is_left_alone(reader, key, since)
    return _Looked(key, lease_row(reader, key), left_alone)
