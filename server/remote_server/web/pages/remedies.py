"""What would let a waiting job start, as commands to paste. Pure."""

from __future__ import annotations

import shlex
from typing import Final, NamedTuple

from remote_protocol.api.jobs import JobView
from remote_server.domain.candidates import Candidate, Facts, Finding, Kind, Requirement
from remote_server.queries.candidates import Placement
from remote_server.web.pages.command_lines import run_line, wrapped

_MOST: Final = 2


class Remedy(NamedTuple):
    """One way to let a job start."""

    title: str
    why: str
    where: str
    command: str


def remedies(job: JobView, placement: Placement, paused: bool) -> list[Remedy]:
    """The nearest ways, at most two; none where the job starts by itself."""
    if paused:
        what = f"remotectl queue resume {shlex.quote(job.queue)}"
        return [Remedy(f"Resume {job.queue}.", "It is paused.", "on your machine", what)]
    if placement.fitting:
        return []
    found: list[Remedy] = []
    kinds: set[Kind] = set()
    for one in placement.candidates:
        missed = _missed(placement, one)
        if not missed:
            continue
        kind = missed[0][0].kind
        same = all(want.kind is kind for want, _ in missed)
        remedy = _remedy(job, placement.facts[one.agent], kind, missed) if same else None
        if remedy is not None and kind not in kinds:
            kinds.add(kind)
            found.append(remedy)
    if not placement.serving and Kind.QUEUE not in kinds:
        command = f"remotectl agent set NAME --queue default --queue {shlex.quote(job.queue)}"
        why = "Naming queues replaces those that it serves now."
        where = "on your machine, as admin"
        found.insert(0, Remedy(f"Let an agent serve {job.queue}.", why, where, command))
    return found[:_MOST]


def _missed(placement: Placement, one: Candidate) -> list[tuple[Requirement, Finding]]:
    pairs = zip(placement.requirements, one.findings, strict=True)
    return [(want, found) for want, found in pairs if found.met is False]


def _remedy(
    job: JobView, agent: Facts, kind: Kind, missed: list[tuple[Requirement, Finding]]
) -> Remedy | None:
    name = shlex.quote(agent.name)
    if kind is Kind.QUEUE:
        queues = [*sorted(agent.queues), job.queue]
        command = wrapped(
            [f"remotectl agent set {name}", *(f"--queue {shlex.quote(queue)}" for queue in queues)]
        )
        title = f"Let {agent.name} serve {job.queue}."
        return Remedy(title, "It meets all else.", "on your machine, as admin", command)
    if kind is Kind.TAKES_JOBS and agent.blocked.startswith("paused"):
        command = f"remotectl agent resume {name}"
        return Remedy(
            f"Resume {agent.name}.", f"It is {agent.blocked}.", "on your machine", command
        )
    if kind is Kind.ONLINE:
        command = "remote-agent service start\nremote-agent doctor"
        why = "It is offline; the doctor says why it cannot connect."
        return Remedy(f"Bring {agent.name} online.", why, f"on the host of {agent.name}", command)
    if kind is Kind.LABEL:
        return _other_labels(job, agent, missed)
    return None


def _other_labels(
    job: JobView, agent: Facts, missed: list[tuple[Requirement, Finding]]
) -> Remedy | None:
    """Ask for what there is."""
    labels = dict(job.labels)
    for want, _ in missed:
        key = want.wanted.partition("=")[0]
        labels.pop(key, None)
        if key in agent.labels:
            labels[key] = agent.labels[key]
    line = run_line(job, labels)
    if line is None:
        return None
    changed = {key: value for key, value in labels.items() if job.labels.get(key) != value}
    asked = ", ".join(f"{key}={value}" for key, value in changed.items())
    gone = ", ".join(key for key in job.labels if key not in labels)
    title = f"Ask for {asked} instead." if asked else f"Ask for no {gone}."
    why = f"{agent.name} would take it at once."
    return Remedy(title, why, "on your machine", f"remotectl job cancel {job.id}\n{line}")
