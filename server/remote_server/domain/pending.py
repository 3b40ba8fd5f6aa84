"""Why a job still waits, in words (R38). Pure.

A `WaitingRoom` is made once for a request and answers for any number of its jobs; equal demands
are worked out once.
"""

from __future__ import annotations

from collections.abc import Iterable

from remote_protocol.states import JobState
from remote_protocol.units import format_duration
from remote_server.domain.demand import demand_of
from remote_server.domain.model import Agent, Demand, Job, Queue
from remote_server.domain.scheduling import AgentSlot, shares_of

_NAMED = 5


class WaitingRoom:
    """Explains what waiting jobs wait for, from one moment's view of queues and agents."""

    def __init__(
        self, queues: Iterable[Queue], agents: Iterable[Agent], slots: Iterable[AgentSlot]
    ) -> None:
        self._queues = {queue.name: queue for queue in queues}
        self._slots = {slot.name: slot for slot in slots}
        self._agents = list(agents)
        self._known: dict[Demand, str] = {}

    def reason(self, job: Job, now: float) -> str | None:
        """A sentence for a queued job, None for any other."""
        if job.state is not JobState.QUEUED:
            return None
        queue = self._queues.get(job.spec.queue)
        if queue is not None and queue.paused:
            return f"queue {queue.name!r} is paused"
        if job.not_before is not None and job.not_before > now:
            return f"waits {format_duration(job.not_before - now)} before the next attempt"
        demand = demand_of(job.spec)
        text = self._known.get(demand)
        if text is None:
            text = self._known[demand] = self._explain(demand)
        return text

    def _explain(self, demand: Demand) -> str:
        queue = demand.queue
        if queue not in self._queues:
            return f"queue {queue!r} does not exist any more; create it again or cancel the job"
        serving = sorted(agent.name for agent in self._agents if queue in agent.queues)
        online = [slot for _, slot in sorted(self._slots.items()) if queue in slot.queues]
        if not serving and not online:
            return f"no agent serves queue {queue!r}"
        if not online:
            return f"no agent of queue {queue!r} is online ({_names('agent', serving)})"
        fitting = [slot for slot in online if slot.has_labels(demand.labels)]
        if not fitting:
            return self._labels(demand, online)
        able = [slot for slot in fitting if slot.could_run(demand)]
        if not able:
            names = [slot.name for slot in fitting]
            return (
                f"no agent of queue {queue!r} has capacity for its jobs ({_names('agent', names)})"
            )
        eligible = [slot for slot in able if slot.eligible]
        if not eligible:
            told = "; ".join(_told(slot) for slot in able[:_NAMED])
            more = f"; and {len(able) - _NAMED} more" if len(able) > _NAMED else ""
            return f"no agent of queue {queue!r} takes jobs now: {told}{more}"
        return self._room(demand, eligible)

    def _labels(self, demand: Demand, online: list[AgentSlot]) -> str:
        wanted = [f"{key}={value}" for key, value in demand.labels]
        for (key, value), label in zip(demand.labels, wanted, strict=True):
            if not any(slot.labels.get(key) == value for slot in online):
                wanted = [label]
                break
        label = "label " + wanted[0] if len(wanted) == 1 else "all labels " + ", ".join(wanted)
        names = _names("agent", [slot.name for slot in online])
        return f"no online agent in queue {demand.queue!r} has {label} ({names})"

    def _room(self, demand: Demand, eligible: list[AgentSlot]) -> str:
        free = 0
        running = 0
        for slot in eligible:
            kind = slot.class_of(demand.queue)
            running += sum(slot.class_of(queue) == kind for queue, _ in slot.leases.values())
            free += shares_of(slot)[kind].fits(demand.weight)
        count = len(eligible)
        who = f"{count} agents serve" if count > 1 else f"agent {eligible[0].name} serves"
        jobs = f"{running} job{'' if running == 1 else 's'} running"
        if free:
            return f"{who} queue {demand.queue!r} and can take it: it is about to be assigned"
        if demand.weight is not None:
            share = f"a share of {demand.weight:g}"
            none = "none has" if count > 1 else "it does not have"
            return f"{who} queue {demand.queue!r}, but {none} {share} free ({jobs})"
        full = "all full" if count > 1 else "it is full"
        return f"{who} queue {demand.queue!r}, {full} ({jobs})"


def _told(slot: AgentSlot) -> str:
    return f"{slot.name}: {slot.reason or 'not accepting jobs'}"


def _names(kind: str, names: list[str]) -> str:
    some = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
    return f"{kind}{'' if len(names) == 1 else 's'}: {some}"
