"""What the calls of the API work with, handed to each of them as one frozen bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from remote_server.agent_logs import AgentLogs
from remote_server.artifacts import ArtifactStore
from remote_server.audit_trail import AuditTrail
from remote_server.config import Config
from remote_server.contents import ContentUploads
from remote_server.disk.reserve import Reserve
from remote_server.domain.signing import SigningKey
from remote_server.hub import Hub
from remote_server.inputs import InputStore
from remote_server.logs import Logs
from remote_server.queries.fleet import FleetReader
from remote_server.queries.gauges import Gauges, Metrics
from remote_server.queries.history import History
from remote_server.queries.overview import OverviewReader
from remote_server.queries.sources import Sources
from remote_server.relays import Relays
from remote_server.secrets.vault import Vault
from remote_server.store import Store
from remote_server.web.authenticator import Authenticator
from remote_server.web.followers import Followers
from remote_server.web.http.bodies import BodyBudget
from remote_server.web.http.connections import Connections
from remote_server.web.http.streams import Streams
from remote_server.web.logs.index import LineIndexes
from remote_server.web.pace import Pace
from remote_server.web.program_logins import ProgramLogins
from remote_server.web.provider_sign_in import ProviderSignIn
from remote_server.web.readiness import Readiness
from remote_server.web.sessions import Sessions


@dataclass(frozen=True, slots=True)
class Services:
    """The rooms below the web, and what the web itself keeps."""

    config: Config
    store: Store
    logs: Logs
    reserve: Reserve
    """The room that logs and inputs leave on the disk."""
    inputs: InputStore
    artifacts: ArtifactStore
    contents: ContentUploads
    agent_logs: AgentLogs
    """The agents' own logs."""
    hub: Hub
    authenticator: Authenticator
    sessions: Sessions
    provider_sign_in: ProviderSignIn | None
    """Sign-in by an OpenID provider; None: there is none."""
    program_logins: ProgramLogins
    """Logins of programs that a person confirms."""
    followers: Followers
    streams: Streams
    connections: Connections
    bodies: BodyBudget
    trail: AuditTrail
    """What the audit is told beside what the store writes itself."""
    sources: Sources
    """What lists and views are made from."""
    description: Callable[[], bytes]
    """The OpenAPI document; the first call takes a while."""
    fleet: FleetReader
    """All agents in short."""
    overview: OverviewReader
    history: History
    vault: Vault
    """The secrets of jobs."""
    relays: Relays
    """Where requests of jobs may go."""
    signing_key: SigningKey
    """What the secrets of webhooks are made from."""
    gauges: Gauges
    """What is counted."""
    metrics: Metrics
    """All that is measured."""
    readiness: Readiness = field(default_factory=Readiness)
    line_indexes: LineIndexes = field(default_factory=LineIndexes)
    pace: Pace = field(default_factory=Pace)
    """How often open pages are drawn again."""
