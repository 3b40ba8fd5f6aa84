"""Submitting, explaining and cancelling groups."""

from __future__ import annotations

import time

from remote_protocol.api.groups import GroupCreate, GroupExplanation
from remote_server.domain.groups import Group
from remote_server.queries.groups import available, explanation
from remote_server.web.actions.jobs import require_relays
from remote_server.web.http.problems import validation
from remote_server.web.route import Call


async def submit(call: Call, wanted: GroupCreate, now: float) -> tuple[Group, bool]:
    """Submit a group; whether it is new. ApiProblem when its job can be none of a group."""
    check(wanted)
    await require_relays(call, [wanted.spec], "spec.relay")
    call.services.reserve.require()
    store = call.services.store
    online = await _online(call, wanted)
    return await store.submit_group(wanted, now, call.principal, online)


async def explain(call: Call, wanted: GroupCreate) -> GroupExplanation:
    """Which agents a group would have, without submitting it."""
    check(wanted)
    online = await _online(call, wanted)
    store = call.services.store
    names = await store.matching_agents(wanted, online)
    (spec,) = await store.placed([wanted.spec])
    return await explanation(call.services.sources, spec.queue, names)


async def cancel(call: Call, group: str, reason: str) -> Group:
    """Ask for the end of all members; a wish, kept until they have ended."""
    detail = reason or f"cancelled by {call.token.name}"
    store = call.services.store
    return await store.cancel_group(group, detail, time.time(), by=call.principal)


def check(wanted: GroupCreate) -> None:
    """ApiProblem names what a job of a group cannot have."""
    faults = []
    if wanted.spec.agent is not None:
        text = "is chosen by the group for each of its jobs; submit a job for one agent, or select"
        faults.append(("spec.agent", f"{text} agents by labels"))
    for name in ("stdin", "private_input"):
        if getattr(wanted.spec, name) is not False:
            text = "a group has no input, which would have to be kept for each agent; give the job"
            faults.append((f"spec.{name}", f"{text} a file, or secrets"))
    for key, value in wanted.select.labels.items():
        if wanted.spec.labels.get(key, value) != value:
            text = f"contradicts the job's own label {key}={wanted.spec.labels[key]}"
            faults.append((f"select.labels.{key}", text))
    if faults:
        raise validation(faults)


async def _online(call: Call, wanted: GroupCreate) -> frozenset[str] | None:
    if not wanted.select.online_only:
        return None
    names = await call.services.store.matching_agents(wanted)
    return await available(call.services.sources.agents, names)
