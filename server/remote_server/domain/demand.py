"""What a job needs of an agent and what its submitter wants done when it goes wrong. Pure.

Both are stored beside the job as short canonical texts, so that the specification (which may
hold megabytes of files) is parsed only when the job is offered. Most jobs share the same few
texts: parsing them is remembered.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

from remote_protocol.spec import JobSpec, OnReturn
from remote_protocol.states import EndReason
from remote_server.domain.model import Demand

_EVERYWHERE: Final = frozenset({"command", "python"})
"""Kinds of jobs that every agent runs."""
_KIND: Final = "kind="
_SHORT: Final = 128
MAX_BACKOFF = 600.0
"""Seconds that a retry waits at most."""


class Policy(NamedTuple):
    """What a job's submitter wants done when an attempt does not succeed. Durations in seconds."""

    max_attempts: int = 1
    retry_on: tuple[EndReason, ...] = (EndReason.LOST,)
    retry_backoff: float = 1.0
    lost_after: float = 600.0
    keep_first: bool = False
    timeout: float | None = None
    grace_period: float = 10.0
    private_input: bool = False
    """An input is kept for it until its end, encrypted."""

    def backoff(self, used: int) -> float:
        """Seconds before the next attempt after `used` ones (≥ 1): doubling, bounded."""
        return float(min(self.retry_backoff * 2 ** min(used - 1, 30), MAX_BACKOFF))


def is_special(kind: str) -> bool:
    """Whether an agent runs jobs of a kind only if it says so."""
    return kind not in _EVERYWHERE


def demand_of(spec: JobSpec) -> Demand:
    """The demand of a job. A kind that not every agent runs is demanded like a label."""
    labels = spec.labels
    if is_special(spec.kind):
        labels = {**labels, **kind_labels([spec.kind])}
    return Demand(spec.queue, tuple(sorted(labels.items())), spec.weight, spec.agent)


def kind_labels(kinds: Iterable[str]) -> dict[str, str]:
    """What stands among an agent's labels for the kinds of jobs that it runs. Nobody can give it
    such a label: there is a `=` in its key."""
    return {f"{_KIND}{kind}": "" for kind in kinds}


def able_labels(labels: Mapping[str, str], kinds: Sequence[str]) -> Mapping[str, str]:
    """An agent's labels with what stands for the kinds of jobs that it runs."""
    return {**labels, **kind_labels(kinds)} if kinds else labels


def label_words(key: str, value: str) -> str:
    """A demanded label, or what stands for a kind, as people read it."""
    kind = kind_of(key)
    return f"{key}={value}" if kind is None else f"kind {kind}"


def kind_of(key: str) -> str | None:
    """The kind of jobs that stands among labels under this key; None: it is a label."""
    return key.removeprefix(_KIND) if key.startswith(_KIND) else None


def labels_of(demand: Demand) -> dict[str, str]:
    """The labels that somebody asked for."""
    return {key: value for key, value in demand.labels if kind_of(key) is None}


def policy_of(spec: JobSpec) -> Policy:
    """The policy of a job."""
    return Policy(
        spec.max_attempts,
        tuple(sorted(set(spec.retry_on))),
        spec.retry_backoff,
        spec.on_disconnect.lost_after,
        spec.on_disconnect.on_return is OnReturn.KEEP_FIRST,
        spec.timeout,
        spec.grace_period,
        spec.private_input is not False,
    )


@lru_cache(maxsize=4096)
def demand_text(demand: Demand) -> str:
    """The stored form; equal demands have equal texts."""
    named = demand if demand.agent is not None else demand[:-1]
    return json.dumps(named, separators=(",", ":"), ensure_ascii=False)


@lru_cache(maxsize=4096)
def demand_key(text: str) -> str:
    """A stored form, short enough for any index: labels may have kilobytes."""
    if len(text) <= _SHORT:
        return text
    return f"{text[:_SHORT]}{sha256(text.encode()).hexdigest()}"


@lru_cache(maxsize=4096)
def demand_from(text: str) -> Demand:
    """The demand that a stored text stands for."""
    queue, labels, weight, *agent = json.loads(text)
    return Demand(queue, tuple((key, value) for key, value in labels), weight, *agent)


def for_agent(text: str, agent: str) -> str:
    """The stored form of a demand that names no agent, for this agent. Not remembered: there may
    be ten thousand of them, and none is like another."""
    return f"{text[:-1]},{json.dumps(agent)}]"


def agent_in(text: str) -> str | None:
    """The agent that a stored form names."""
    *_, agent = [*json.loads(text), None][:4]
    return None if agent is None else str(agent)


@lru_cache(maxsize=4096)
def policy_text(policy: Policy) -> str:
    """The stored form."""
    said = policy if policy.private_input else policy[:-1]
    return json.dumps(said, separators=(",", ":"))


@lru_cache(maxsize=4096)
def policy_from(text: str) -> Policy:
    """The policy that a stored text stands for."""
    most, reasons, *rest = json.loads(text)
    return Policy(most, tuple(EndReason(reason) for reason in reasons), *rest)
