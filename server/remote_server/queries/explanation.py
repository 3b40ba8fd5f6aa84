"""Whether a job would run, and where, without submitting it. Reads the store and the live links."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from remote_protocol.api.explanations import (
    CandidateView,
    ConditionView,
    JobExplanation,
    RefusalView,
)
from remote_protocol.errors import ErrorCode
from remote_protocol.spec import JobSpec
from remote_server.domain.candidates import (
    Candidate,
    Facts,
    Kind,
    Outlook,
    blocked_by,
    facts_of_slot,
    outlook,
)
from remote_server.domain.demand import able_labels, demand_of
from remote_server.domain.secrets import not_for, unknown
from remote_server.queries.candidates import Placement, place
from remote_server.queries.fleet import Member
from remote_server.queries.sources import Sources
from remote_server.queries.views import when_if
from remote_server.queries.waiting import pending_reasons

_Outlook = Literal["now", "later", "blocked", "never", "refused"]
_WHAT: Final[
    dict[Kind, Literal["agent", "queue", "label", "runs", "online", "takes_jobs", "room"]]
] = {
    Kind.AGENT: "agent",
    Kind.QUEUE: "queue",
    Kind.LABEL: "label",
    Kind.RUNS: "runs",
    Kind.ONLINE: "online",
    Kind.TAKES_JOBS: "takes_jobs",
    Kind.ROOM: "room",
}


async def explain(
    sources: Sources, members: Sequence[Member], spec: JobSpec, lack: str
) -> JobExplanation:
    """What would become of a job. `members`: all agents; `lack`: why the server takes no jobs at
    all now, empty when it does."""
    store, links = sources.store, sources.agents
    demand = demand_of(spec)
    refusals = [
        RefusalView(code=error.code.value, detail=str(error))
        for error in await store.refusals(spec)
    ]
    if lack:
        refusals.append(RefusalView(code=ErrorCode.STORE_UNAVAILABLE.value, detail=lack))
    found = await place(sources, demand)
    paused = any(queue.paused for queue in await store.queues() if queue.name == spec.queue)
    pending = await pending_reasons(store, links, [spec])
    would = outlook(demand, _facts(sources, members))
    said: _Outlook = would.value
    reason = pending.of_demand(demand)
    if refusals:
        said, reason = "refused", "; ".join(refusal.detail for refusal in refusals)
    elif paused and would is not Outlook.NEVER:
        said, reason = Outlook.BLOCKED.value, f"queue {spec.queue!r} is paused"
    elif would is Outlook.NOW:
        best = next((one.agent for one in found.candidates if not one.misses), None)
        who = f"agent {best}" if best else "an agent"
        reason = f"{who} serves queue {spec.queue!r} and has room for it"
    return JobExplanation.model_construct(
        outlook=said,
        reason=reason,
        refusals=refusals,
        withheld=await _withheld(sources, spec),
        serving=found.serving,
        judged=found.judged,
        fitting=found.fitting,
        candidates=[_candidate(found, one) for one in found.candidates],
    )


async def _withheld(sources: Sources, spec: JobSpec) -> dict[str, str]:
    """Secrets that the server would not give to the job, as far as that does not depend on its
    key."""
    if not spec.secrets:
        return {}
    scopes = await sources.store.secret_scopes(spec.secrets)
    missing = {name: unknown(name) for name in spec.secrets if name not in scopes}
    return missing | {
        name: not_for(name, spec.queue)
        for name, scope in scopes.items()
        if not scope.covers(spec.queue)
    }


def _facts(sources: Sources, members: Sequence[Member]) -> Iterable[Facts]:
    """Every agent, connected or not."""
    for member in members:
        row = member.row
        slot = sources.agents.slot(row.name)
        if slot is not None:
            yield facts_of_slot(slot)
        else:
            blocked = blocked_by(row.paused, row.draining, row.pause_comment)
            labels = able_labels(row.labels, row.kinds)
            yield Facts(row.name, row.queues, labels, row.capacity, blocked, None)


def _candidate(placement: Placement, one: Candidate) -> CandidateView:
    pairs = zip(placement.requirements, one.findings, strict=True)
    return CandidateView.model_construct(
        agent=one.agent,
        misses=one.misses,
        last_seen_at=when_if(placement.heard[one.agent]),
        conditions=[
            ConditionView.model_construct(
                what=_WHAT[want.kind], wanted=want.wanted, met=found.met, found=found.said
            )
            for want, found in pairs
        ],
    )
