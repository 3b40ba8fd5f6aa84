"""Why a job still waits, in words. Pure.

A `PendingReasons` is made once for a request and answers for any number of its jobs: agents are
sorted and their shares counted once for each queue, and equal demands are worked out once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from remote_protocol.states import JobState
from remote_protocol.units import format_duration
from remote_server.domain.capacity import AgentSlot, Share, shares_of
from remote_server.domain.demand import demand_of, kind_of, label_words
from remote_server.domain.model import Demand, Job, Queue

_NAMED = 5
_CURES = {
    "container": "; it takes docker or podman on its host when the agent starts, and [containers] "
    "engine not off",
}
"""What helps where no agent runs a kind."""


class PendingReasons:
    """Explains what waiting jobs wait for, from one moment's view of queues and agents."""

    def __init__(
        self,
        queues: Iterable[Queue],
        serving: Mapping[str, Sequence[str]],
        slots: Iterable[AgentSlot],
        known: Collection[str] = (),
    ) -> None:
        """`serving`: the names of the agents of each queue in question; `known`: those agents that
        exist, of those that jobs ask for by name; `slots`: those of both that are connected."""
        self._queues = {queue.name: queue for queue in queues}
        self._serving = serving
        self._slots = sorted(slots, key=lambda slot: slot.name)
        self._agents = {slot.name: slot for slot in self._slots}
        self._existing = known
        self._by_queue: dict[str, _QueueAgents] = {}
        self._known: dict[Demand, str] = {}

    def reason(self, job: Job, now: float) -> str | None:
        """A sentence for a queued job, None for any other."""
        if job.state is not JobState.QUEUED:
            return None
        queue = self._queues.get(job.spec.queue)
        if queue is not None and queue.paused:
            return f"queue {queue.name!r} is paused"
        back = ""
        if job.refusal:
            times = "once" if job.refusals == 1 else f"{job.refusals} times"
            back = f"; it came back {times}, the last: {job.refusal}"
        if job.not_before is not None and job.not_before > now:
            what = "offer" if job.refusal else "attempt"
            return f"waits {format_duration(job.not_before - now)} before the next {what}{back}"
        return self.of_demand(demand_of(job.spec)) + back

    def of_demand(self, demand: Demand) -> str:
        """Why a job with this demand waits, as far as agents decide it."""
        text = self._known.get(demand)
        if text is None:
            text = self._known[demand] = self._explain(demand)
        return text

    def _explain(self, demand: Demand) -> str:
        queue = demand.queue
        if queue not in self._queues:
            return f"queue {queue!r} does not exist any more; create it again or cancel the job"
        if demand.agent is not None:
            return self._named(demand, demand.agent)
        serving = sorted(self._serving.get(queue, ()))
        agents = self._agents_of(queue)
        online = agents.places
        if not serving and not online:
            return f"no agent serves queue {queue!r}"
        if not online:
            return f"no agent of queue {queue!r} is online ({_names('agent', serving)})"
        fitting = agents.fitting(demand.labels)
        if not fitting:
            return self._labels(demand, agents)
        able = [place for place in fitting if place.slot.could_run(demand)]
        if not able:
            names = [place.slot.name for place in fitting]
            return (
                f"no agent of queue {queue!r} has capacity for its jobs ({_names('agent', names)})"
            )
        eligible = [place for place in able if place.slot.eligible]
        if not eligible:
            told = "; ".join(_reason_of(place.slot) for place in able[:_NAMED])
            more = f"; and {len(able) - _NAMED} more" if len(able) > _NAMED else ""
            return f"no agent of queue {queue!r} takes jobs now: {told}{more}"
        return self._room(demand, eligible)

    def _named(self, demand: Demand, name: str) -> str:
        """Why a job waits that only this agent may get."""
        queue, slot = demand.queue, self._agents.get(name)
        if slot is None and name not in self._existing:
            return f"agent {name!r} does not exist any more; register it again or cancel the job"
        if name not in self._serving.get(queue, ()) and (slot is None or queue not in slot.queues):
            return f"agent {name!r} does not serve queue {queue!r}"
        if slot is None:
            return f"agent {name!r} is offline"
        own = slot.labels
        for key, _ in demand.labels:
            if (kind := kind_of(key)) is not None and key not in own:
                return f"agent {name!r} runs no jobs of the kind {kind}{_CURES.get(kind, '')}"
        missing = [f"{key}={value}" for key, value in demand.labels if own.get(key) != value]
        if missing:
            return f"agent {name!r} lacks the label{'s'[: len(missing) - 1]} {', '.join(missing)}"
        if not slot.could_run(demand):
            return f"agent {name!r} has no capacity for jobs of queue {queue!r}"
        if not slot.eligible:
            return f"agent {name!r} takes no jobs now: {slot.reason or 'not accepting jobs'}"
        place = _place(slot, queue)
        jobs = f"{place.running} job{'' if place.running == 1 else 's'} running"
        if place.share is not None and place.share.fits(demand.weight):
            return f"agent {name!r} can take it: it is about to be assigned"
        if demand.weight is not None:
            return f"agent {name!r} does not have a share of {demand.weight:g} free ({jobs})"
        return f"agent {name!r} is full ({jobs})"

    def _agents_of(self, queue: str) -> _QueueAgents:
        agents = self._by_queue.get(queue)
        if agents is None:
            found = (slot for slot in self._slots if queue in slot.queues)
            agents = self._by_queue[queue] = _QueueAgents([_place(slot, queue) for slot in found])
        return agents

    def _labels(self, demand: Demand, agents: _QueueAgents) -> str:
        names = _names("agent", [place.slot.name for place in agents.places])
        for key, value in demand.labels:
            if (kind := kind_of(key)) is not None and (key, value) not in agents.labelled:
                return (
                    f"no online agent in queue {demand.queue!r} runs jobs of the kind {kind} "
                    f"({names}){_CURES.get(kind, '')}"
                )
        wanted = [label_words(key, value) for key, value in demand.labels]
        for (key, value), label in zip(demand.labels, wanted, strict=True):
            if (key, value) not in agents.labelled:
                wanted = [label]
                break
        label = "label " + wanted[0] if len(wanted) == 1 else "all labels " + ", ".join(wanted)
        return f"no online agent in queue {demand.queue!r} has {label} ({names})"

    def _room(self, demand: Demand, eligible: list[_Place]) -> str:
        free = any(place.share and place.share.fits(demand.weight) for place in eligible)
        running = sum(place.running for place in eligible)
        count = len(eligible)
        who = f"{count} agents serve" if count > 1 else f"agent {eligible[0].slot.name} serves"
        jobs = f"{running} job{'' if running == 1 else 's'} running"
        if free:
            return f"{who} queue {demand.queue!r} and can take it: it is about to be assigned"
        if demand.weight is not None:
            share = f"a share of {demand.weight:g}"
            none = "none has" if count > 1 else "it does not have"
            return f"{who} queue {demand.queue!r}, but {none} {share} free ({jobs})"
        full = "all full" if count > 1 else "it is full"
        return f"{who} queue {demand.queue!r}, {full} ({jobs})"


class _Place(NamedTuple):
    """What an agent has for the jobs of one queue."""

    slot: AgentSlot
    share: Share | None
    running: int


class _QueueAgents:
    """The connected agents of one queue, by name, and by each of their labels."""

    def __init__(self, places: list[_Place]) -> None:
        self.places = places
        self.labelled: dict[tuple[str, str], list[_Place]] = {}
        for place in places:
            for label in place.slot.labels.items():
                self.labelled.setdefault(label, []).append(place)

    def fitting(self, labels: tuple[tuple[str, str], ...]) -> list[_Place]:
        """Those that have all these labels."""
        if not labels:
            return self.places
        rare = min((self.labelled.get(label, []) for label in labels), key=len)
        return [place for place in rare if place.slot.has_labels(labels)]


def _place(slot: AgentSlot, queue: str) -> _Place:
    kind = slot.class_of(queue)
    running = sum(slot.class_of(other) == kind for other, _ in slot.leases.values())
    return _Place(slot, shares_of(slot).get(kind), running)


def _reason_of(slot: AgentSlot) -> str:
    return f"{slot.name}: {slot.reason or 'not accepting jobs'}"


def _names(kind: str, names: list[str]) -> str:
    some = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
    return f"{kind}{'' if len(names) == 1 else 's'}: {some}"
