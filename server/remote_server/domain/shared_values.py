"""What nearly all agents of a fleet say and are told alike: one object of each is for all. Pure.

A parsed message takes hundreds of bytes for each of its parts, and the hub keeps some of them for
as long as the agent is connected: in a fleet of ten thousand that is tens of megabytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from sys import intern
from typing import Final

from remote_protocol.messages import Condition, DesiredMode, Hello, Settings

CONDITION: Final = Condition()
"""It takes jobs."""
MODE: Final = DesiredMode()
"""Operators want nothing of it."""
_SETTINGS: Final = Settings()


@dataclass(frozen=True, slots=True)
class Said:
    """What is kept of a hello; each time another object, so that a further hello can be told."""

    agent_version: str
    settings: Settings


def said(hello: Hello) -> Said:
    """What of a hello is needed once it has been answered: not its inventory."""
    settings = _SETTINGS if hello.settings == _SETTINGS else hello.settings
    return Said(intern(hello.agent_version), settings)


def condition(value: Condition) -> Condition:
    """The same condition, shared where it is the usual one."""
    # As `==` of two models, without its frames of Python: each heartbeat asks.
    return CONDITION if value.__dict__ == CONDITION.__dict__ else value


def mode(value: DesiredMode) -> DesiredMode:
    """The same desired mode, shared where it is the usual one."""
    return MODE if value == MODE else value
