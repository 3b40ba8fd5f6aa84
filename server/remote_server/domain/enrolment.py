"""What holds for an agent: its host's own settings, and operators' edits on top of them. Pure.

A host announces its settings again at each start. Only what changed since the last announcement
is applied, so that an operator's edit survives restarts of the agent.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from remote_protocol.api import Registration
from remote_protocol.messages import Hello, Settings
from remote_protocol.spec import DEFAULT_QUEUE
from remote_server.domain.model import Agent

DEFAULT_CAPACITY: Final = {"default": 4}


def newcomer(name: str, allowed_queues: tuple[str, ...], now: float) -> Agent:
    """An agent of which nothing but its name is known."""
    return Agent(
        name=name,
        queues=allowed_queues or (DEFAULT_QUEUE,),
        labels={},
        capacity=dict(DEFAULT_CAPACITY),
        registered_at=now,
        allowed_queues=allowed_queues,
    )


def announce(agent: Agent, settings: Settings) -> Agent:
    """The agent after its host announced these settings.

    Queues outside the agent's allowance are left out: its registration token did not cover them.
    """
    said: dict[str, Any] = settings.model_dump(exclude_none=True)
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    if text == agent.announced:
        return agent
    before = json.loads(agent.announced) if agent.announced else {}
    new = {key: value for key, value in said.items() if before.get(key) != value}
    queues = agent.queues
    if "queues" in new:
        allowed = agent.allowed_queues
        wanted = dict.fromkeys(q for q in new["queues"] if not allowed or q in allowed)
        queues = tuple(wanted) or queues
    return replace(
        agent,
        queues=queues,
        labels=new.get("labels", agent.labels),
        capacity=new.get("capacity", agent.capacity),
        announced=text,
    )


def registered(agent: Agent, registration: Registration) -> Agent:
    """The agent after its host registered."""
    return replace(
        announce(agent, registration.settings),
        ephemeral=registration.ephemeral,
        fingerprint=registration.fingerprint,
        version=registration.agent_version,
        platform=registration.platform,
    )


def connected(agent: Agent, hello: Hello, address: str, now: float) -> Agent:
    """The agent after its hello on a new session: the epoch grows."""
    return replace(
        announce(agent, hello.settings),
        version=hello.agent_version,
        platform=hello.platform,
        boot_id=hello.boot_id,
        # An older agent does not say.
        installation=hello.installation or agent.installation,
        condition=hello.condition,
        address=address,
        epoch=agent.epoch + 1,
        connected_at=now,
        last_seen_at=now,
    )
