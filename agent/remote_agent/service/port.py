"""What a service manager does for the agent: one implementation for each platform. Types only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from remote_agent.service.units import Choice


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What the service manager knows about the agent's service."""

    installed: bool
    active: str = "inactive"
    """As systemd says it: `active`, `activating`, `inactive`, `failed` …"""
    enabled: bool = False
    """Whether it starts with the host."""
    pid: int = 0
    restarts: int = 0
    """How often the service manager has started it again by itself."""
    words: str = ""
    """What the agent has told the service manager last."""
    user: str = ""
    program: str = ""
    profile: str = ""
    ended: bool = False
    """Whether it has ended by itself, and the service manager does not start it again."""
    outdated: bool = False
    """Whether its process runs another version than that of the binary that asks."""


class ServicePort(Protocol):
    """A service manager."""

    state_dir: Path
    """Where the service keeps what the agent keeps."""
    program_dir: Path
    """Where a binary that root calls unpacks itself."""
    config_dir: Path
    """Where configuration, variables and token of the service are."""
    account: str
    """The user whom the service has when no other is named."""
    profiles: tuple[str, ...]
    """What its jobs may do, by name; the default first."""

    def check(self) -> None:
        """AgentError when this host or this user cannot do any of it."""

    def make_account(self) -> None:
        """Make the user `account`. AgentError."""

    def prepare(self, program: str, user: str, profile: str) -> list[str]:
        """Have the account, which can run the program, and its folders; what was made. AgentError,
        also for an account that is not there."""

    def state(self) -> ServiceState:
        """What there is now."""

    def install(self, choice: Choice) -> list[str]:
        """Write what is needed; the paths that have changed. Idempotent."""

    def start(self) -> None:
        """Start it; returns when it was asked to."""

    def restart(self) -> None:
        """Stop it and start it; its jobs run on."""

    def stop(self, jobs_too: bool) -> None:
        """Stop it; `jobs_too` kills its jobs."""

    def remove(self) -> list[str]:
        """Stop it and remove all that `install` wrote, as far as it is there; what that was."""

    def complaints(self) -> list[str]:
        """The latest errors and warnings in its log, the last one at the end."""
