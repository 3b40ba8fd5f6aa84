"""What a link needs of the hub that it belongs to. Pure types."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

from remote_protocol.artifacts import ArtifactState
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Artifact, ArtifactLost
from remote_server.agent_logs import AgentLogs
from remote_server.artifacts import ArtifactStore
from remote_server.contents import ContentStore
from remote_server.domain.changes import Change
from remote_server.domain.model import Clock, Outcome
from remote_server.hub.budget import Rates
from remote_server.hub.host_loads import HostLoads
from remote_server.hub.throttled_log import ThrottledLog
from remote_server.inputs import InputStore
from remote_server.logs import Logs
from remote_server.secrets.vault import Vault
from remote_server.store.artifacts import Announced


@dataclass(frozen=True, slots=True)
class HubTerms:
    """What holds for all links. Durations in seconds."""

    heartbeat_interval: float = 15.0
    offer_ttl: float = 45.0
    durable: bool = True
    """Logs are synced to the disk before their end is committed."""
    max_job_log: int | None = None
    """Bytes of a job's output that are kept."""
    max_artifacts: int = 1 << 30
    """Bytes of all artifacts of an attempt."""
    rates: Rates = field(default_factory=Rates)
    """What one link may cost."""


class Recorder(Protocol):
    """Where reports of agents are committed (the store)."""

    def record(
        self,
        agent: str,
        change: Change,
        now: float,
        early: Callable[[Outcome], None] | None = None,
        heard: Callable[[asyncio.Future[Outcome]], None] | None = None,
    ) -> asyncio.Future[Outcome]:
        """Have a change that an agent reports committed. Stale, StoreUnavailable. `early` may hear
        of it before that, once all that it rests on is stored; `heard` when it is done."""


class ArtifactRows(Protocol):
    """Where it is noted what became of artifacts (the store)."""

    async def announce_artifact(
        self, agent: str, message: Artifact | ArtifactLost, most: int, now: float
    ) -> Announced:
        """Note what an agent says of an artifact. StoreUnavailable."""

    async def end_artifact(
        self, attempt: AttemptId, number: int, state: ArtifactState, reason: str, now: float
    ) -> bool:
        """It is complete, or has failed; whether it was there. StoreUnavailable."""


class Owner(Protocol):
    """The hub, as far as its links care."""

    @property
    def store(self) -> Recorder:
        """Where reports are committed."""

    @property
    def artifact_rows(self) -> ArtifactRows:
        """Where it is noted what became of artifacts."""

    logs: Logs
    artifacts: ArtifactStore
    contents: ContentStore
    agent_logs: AgentLogs
    inputs: InputStore
    vault: Vault
    loads: HostLoads
    terms: HubTerms
    clock: Clock
    log: ThrottledLog

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something short beside the links."""

    def trouble(self) -> None:
        """The database or a log could not be written."""

    def took(self, agent: str, attempt: AttemptId) -> None:
        """An agent accepted what it was offered."""

    def gave_back(self, agent: str, attempt: AttemptId, detail: str) -> None:
        """An agent refused what it was offered, or did not answer."""
