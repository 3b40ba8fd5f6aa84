"""What holds for an agent: what the server allows, what its host says, and operators' edits. Pure.

A registration token (or an agent token made beforehand) covers queues and may carry labels of the
server's own. What a host asks for when it registers with one is *allowed* from then on: queues,
labels and capacity. An operator's edit replaces what is allowed. A hello can only narrow it: what
it says beyond is left out, and said in a warning.

A host announces its settings again at each start. Only what changed since the last announcement
is applied, so that an operator's edit survives restarts of the agent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from remote_protocol.api.agents import AgentChange
from remote_protocol.api.registration import Registration
from remote_protocol.limits import MAX_LABELS
from remote_protocol.messages import Hello, Settings
from remote_protocol.spec import DEFAULT_QUEUE
from remote_server.domain.model import Agent

ANY: Final = "*"
"""In the queues that a token covers: every queue. No queue can have this name."""
DEFAULT_CAPACITY: Final = {"default": 4}
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token lets a host ask for."""

    queues: tuple[str, ...] = ()
    """Queues that it covers; empty: the queue `default`; ANY: all."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that the server gives; the host can neither set nor change them."""

    def covers(self, queue: str) -> bool:
        """Whether a host may ask for this queue."""
        return ANY in self.queues or queue in (self.queues or (DEFAULT_QUEUE,))

    @property
    def usual(self) -> tuple[str, ...]:
        """The queues of a host that asks for none."""
        named = tuple(queue for queue in self.queues if queue != ANY)
        return named or (DEFAULT_QUEUE,)


def newcomer(name: str, grant: Grant | tuple[str, ...], now: float) -> Agent:
    """An agent of which nothing but its name and its token is known."""
    if not isinstance(grant, Grant):
        grant = Grant(grant)
    return Agent(
        name=name,
        queues=grant.usual,
        labels=dict(grant.labels),
        capacity=dict(DEFAULT_CAPACITY),
        registered_at=now,
        allowed_queues=grant.usual,
        allowed_capacity=dict(DEFAULT_CAPACITY),
        server_labels=dict(grant.labels),
    )


def allow(agent: Agent, settings: Settings, grant: Grant) -> Agent:
    """The agent after its host asked for these settings with a token that covers them: they are
    allowed, and applied as far as they were not allowed before."""
    wider: dict[str, Any] = {}
    own = dict(grant.labels)
    if own and own != agent.server_labels:
        wider["server_labels"] = {**agent.server_labels, **own}
        wider["labels"] = {**agent.labels, **own}
    agent = replace(agent, **wider)
    before = _narrowed(agent, settings)
    queues = [queue for queue in settings.queues or () if grant.covers(queue)]
    agent = replace(
        agent,
        allowed_queues=tuple(dict.fromkeys(queues)) or agent.allowed_queues,
        allowed_labels=agent.allowed_labels if settings.labels is None else settings.labels,
        allowed_capacity=agent.allowed_capacity if settings.capacity is None else settings.capacity,
    )
    after = _narrowed(agent, settings)
    agent = replace(agent, **{key: after[key] for key in after if after[key] != before[key]})
    # An edit may have given it queues that this registration does not ask for.
    held = tuple(queue for queue in agent.queues if queue in agent.allowed_queues)
    return agent if held == agent.queues else replace(agent, queues=held or agent.allowed_queues)


def edited(agent: Agent, change: AgentChange) -> Agent:
    """The agent after an operator's edit: it holds, and is what is allowed from now on."""
    if change.queues is not None:
        queues = tuple(dict.fromkeys(change.queues))
        agent = replace(agent, queues=queues, allowed_queues=queues)
    if change.labels is not None:
        kept = {k: v for k, v in agent.server_labels.items() if change.labels.get(k) == v}
        host = {k: v for k, v in change.labels.items() if k not in kept}
        agent = replace(agent, labels=change.labels, allowed_labels=host, server_labels=kept)
    if change.capacity is not None:
        agent = replace(agent, capacity=change.capacity, allowed_capacity=change.capacity)
    return agent


def announce(agent: Agent, settings: Settings) -> Agent:
    """The agent after its host announced these settings: what is new among them is applied as far
    as it is allowed."""
    said: dict[str, Any] = settings.model_dump(exclude_none=True)
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    if text == agent.announced:
        return agent
    before = json.loads(agent.announced) if agent.announced else {}
    narrowed = _narrowed(agent, settings)
    new = {key: value for key, value in narrowed.items() if before.get(key) != said.get(key)}
    return replace(agent, **new, announced=text)


def _narrowed(agent: Agent, settings: Settings) -> dict[str, Any]:
    """What a host says, as far as it is allowed; what it does not say is not there."""
    found: dict[str, Any] = {}
    if settings.queues is not None:
        wanted = dict.fromkeys(q for q in settings.queues if q in agent.allowed_queues)
        # An agent always serves something: one that asks for nothing allowed keeps what it has.
        found["queues"] = tuple(wanted) or agent.queues
    if settings.labels is not None:
        room = MAX_LABELS - len(agent.server_labels)
        host = [item for item in settings.labels.items() if _may_have(agent, *item)]
        found["labels"] = {**dict(host[:room]), **agent.server_labels}
    if settings.capacity is not None:
        allowed = agent.allowed_capacity
        found["capacity"] = {
            name: min(size, allowed[name])
            for name, size in settings.capacity.items()
            if name in allowed
        }
    return found


def _may_have(agent: Agent, key: str, value: str) -> bool:
    return key not in agent.server_labels and agent.allowed_labels.get(key) == value


def left_out(agent: Agent, settings: Settings) -> str:
    """What of a host's settings is not allowed, as a sentence; empty when all of it is."""
    queues = [f"queue {q!r}" for q in settings.queues or () if q not in agent.allowed_queues]
    labels = [
        f"label {key}={value}"
        for key, value in (settings.labels or {}).items()
        if not _may_have(agent, key, value) and agent.server_labels.get(key) != value
    ]
    allowed = agent.allowed_capacity
    sizes = [
        f"capacity {name}={size} ({allowed.get(name, 'none')} is allowed)"
        for name, size in (settings.capacity or {}).items()
        if size > allowed.get(name, 0)
    ]
    found = [*queues, *labels, *sizes]
    if not found:
        return ""
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return (
        f"its host asks for more than the server allows; left out: {', '.join(found[:_NAMED])}"
        f"{more}; an admin may allow it (remotectl agent set {agent.name}), or register the agent "
        "again with a registration token that covers it"
    )


def uncovered(grants: Sequence[Grant], wanted: Sequence[str]) -> list[str]:
    """The queues that none of the grants covers."""
    return [queue for queue in wanted if not any(grant.covers(queue) for grant in grants)]


def registered(agent: Agent, registration: Registration, grant: Grant | None = None) -> Agent:
    """The agent after its host registered; `grant`: what its token lets it ask for, None when it
    came with a token that widens nothing."""
    if grant is not None:
        agent = allow(agent, registration.settings, grant)
    return replace(
        announce(agent, registration.settings),
        ephemeral=registration.ephemeral,
        fingerprint=registration.fingerprint,
        version=registration.agent_version,
        platform=registration.platform,
    )


def connected(agent: Agent, hello: Hello, address: str, now: float) -> Agent:
    """The agent after its hello on a new session: the epoch grows. Another process than the last
    one is the restart that was asked for."""
    same = hello.process == agent.process
    return replace(
        announce(agent, hello.settings),
        version=hello.agent_version,
        platform=hello.platform,
        boot_id=hello.boot_id,
        installation=hello.installation,
        process=hello.process,
        restart_requested_at=agent.restart_requested_at if same else None,
        condition=hello.condition,
        address=address,
        epoch=agent.epoch + 1,
        connected_at=now,
        last_seen_at=now,
    )
