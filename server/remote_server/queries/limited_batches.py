"""Many jobs of somebody who is limited to some queues, each judged alone. No I/O of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from remote_protocol.spec import JobSpec
from remote_server.domain.model import Job, Principal
from remote_server.domain.secrets import Sealer
from remote_server.errors import NoQueueNamed, ServerError, UnknownAgent, UnknownQueue
from remote_server.store import Store
from remote_server.store.lookup import FoundJobs


class Theirs(NamedTuple):
    """Which queues and agents somebody may name who is limited to queues."""

    default: str
    """The queue of whoever names none; whether it is one of theirs or not."""
    queues: frozenset[str]
    agents: frozenset[str]
    """Those that were asked about and are there."""
    some_agents: Sequence[str]
    """Names for the sentence that says that another one is not."""

    def strangers(self, wanted: Sequence[JobSpec]) -> list[ServerError]:
        """The refusals of jobs that name queues or agents which are not there."""
        found: list[ServerError] = []
        asked = {spec.queue if spec.names_queue else self.default for spec in wanted}
        if self.default not in self.queues and not all(spec.names_queue for spec in wanted):
            found.append(NoQueueNamed(self.default, self.queues))
        elif missing := sorted(asked - self.queues):
            found.append(UnknownQueue(missing[0], self.queues, limited=True))
        agents = {spec.agent for spec in wanted if spec.agent is not None}
        if lacking := sorted(agents - self.agents):
            found.append(UnknownAgent(lacking[0], self.some_agents))
        return found

    def narrowed(self, found: Job | ServerError) -> Job | ServerError:
        """The same; what was deleted at this moment was named with everybody's names."""
        if isinstance(found, UnknownQueue):
            rest = self.queues - {found.queue}
            return UnknownQueue(found.queue, rest, limited=True)
        if isinstance(found, UnknownAgent):
            return UnknownAgent(found.agent, self.agents - {found.agent})
        return found


async def submit_each(
    store: Store,
    wanted: Sequence[JobSpec],
    now: float,
    by: Principal,
    inputs: Mapping[int, Sealer],
    theirs: Theirs,
) -> list[Job | ServerError]:
    """Store what names no queue and no agent of others; see Jobs."""
    refused = {
        number: faults[0]
        for number, spec in enumerate(wanted)
        if (faults := theirs.strangers([spec]))
    }
    taken = [number for number in range(len(wanted)) if number not in refused]
    given = {at: inputs[number] for at, number in enumerate(taken) if number in inputs}
    found = await store.submit_each([wanted[number] for number in taken], now, by, given)
    judged = iter(theirs.narrowed(one) for one in found)
    return [refused[number] if number in refused else next(judged) for number in range(len(wanted))]


def where_the_first_went(wanted: Sequence[JobSpec], found: FoundJobs) -> list[JobSpec]:
    """The same specifications; those that repeat found jobs without naming a queue, with theirs."""
    queues = {job.id: job.spec.queue for job in found.jobs}
    first = {key: queues[job] for key, job in found.keys.items()}
    return [
        spec
        if spec.names_queue or spec.idempotency_key not in first
        else spec.model_copy(update={"queue": first[spec.idempotency_key]})
        for spec in wanted
    ]
