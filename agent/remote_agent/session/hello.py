"""The first messages of a session: who the agent is, and its whole inventory (I6). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from remote_agent.session.effects import Effect, Send
from remote_protocol import messages as m
from remote_protocol.frozen import frozen
from remote_protocol.limits import MAX_PART, PROTOCOL_VERSION
from remote_protocol.parts import parts


@frozen
class HostFacts:
    """What an agent tells about itself in a hello."""

    agent_version: str
    installation: str
    boot_id: str = ""
    process: str = ""
    """This start of the agent."""
    platform: m.Platform = field(default_factory=m.Platform)
    settings: m.Settings = field(default_factory=m.Settings)


def hello(
    facts: HostFacts,
    session: str,
    condition: m.Condition,
    inventory: Sequence[m.InventoryItem],
) -> list[Effect]:
    """What is sent when a link opens: the hello, and as much of the inventory as it cannot hold."""
    (first, rest), *more = parts(inventory, MAX_PART)
    said = m.Hello(
        oldest=PROTOCOL_VERSION,
        newest=PROTOCOL_VERSION,
        session=session,
        agent_version=facts.agent_version,
        boot_id=facts.boot_id,
        installation=facts.installation,
        process=facts.process,
        platform=facts.platform,
        settings=facts.settings,
        condition=condition,
        inventory=list(first),
        following=rest,
    )
    return [Send(said), *(Send(m.Inventory(items=items, following=left)) for items, left in more)]
