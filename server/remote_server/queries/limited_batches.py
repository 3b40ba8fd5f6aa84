"""Many jobs of somebody who is limited to some queues, each judged alone. No I/O of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from remote_protocol.spec import JobSpec
from remote_server.domain.model import Job, Principal
from remote_server.domain.secrets import Sealer
from remote_server.errors import ServerError, UnknownAgent, UnknownQueue
from remote_server.store import Store
from remote_server.store.lookup import FoundJobs


class Theirs(NamedTuple):
    """What a limited store says of queues and agents that jobs name."""

    strangers: Callable[[Sequence[JobSpec]], Awaitable[Sequence[ServerError]]]
    """The refusals of jobs that name queues or agents which are not there."""
    narrowed: Callable[[UnknownQueue | UnknownAgent], Awaitable[ServerError]]
    """The same error, with the names of what is theirs only."""


async def submit_each(
    store: Store,
    wanted: Sequence[JobSpec],
    now: float,
    by: Principal,
    inputs: Mapping[int, Sealer],
    theirs: Theirs,
) -> list[Job | ServerError]:
    """Store what names no queue and no agent of others; see Jobs."""
    refused: dict[int, ServerError] = {}
    places: dict[tuple[bool, str, str | None], Sequence[ServerError]] = {}
    for number, spec in enumerate(wanted):
        place = (spec.names_queue, spec.queue, spec.agent)
        if place not in places:
            places[place] = await theirs.strangers([spec])
        if places[place]:
            refused[number] = places[place][0]
    taken = [number for number in range(len(wanted)) if number not in refused]
    given = {at: inputs[number] for at, number in enumerate(taken) if number in inputs}
    found = await store.submit_each([wanted[number] for number in taken], now, by, given)
    # What was deleted at this moment is named with everybody's.
    judged = iter(
        [
            await theirs.narrowed(one) if isinstance(one, UnknownQueue | UnknownAgent) else one
            for one in found
        ]
    )
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
