"""Speaks HTTP: the API under `/api/v1`, the agents' endpoint, the dashboard, health and metrics."""

from remote_server.web.application import build, description
from remote_server.web.authenticator import Authenticator, digest
from remote_server.web.followers import Followers, agent_log_topic
from remote_server.web.http.bodies import BodyBudget
from remote_server.web.http.connection import Connection
from remote_server.web.http.connections import Connections, allowance
from remote_server.web.http.listener import Listener
from remote_server.web.http.streams import Judges, Streams
from remote_server.web.program_logins import ProgramLogins
from remote_server.web.provider_sign_in import ProviderSignIn
from remote_server.web.services import Services
from remote_server.web.sessions import Sessions

__all__ = [
    "Authenticator",
    "BodyBudget",
    "Connection",
    "Connections",
    "Followers",
    "Judges",
    "Listener",
    "ProgramLogins",
    "ProviderSignIn",
    "Services",
    "Sessions",
    "Streams",
    "agent_log_topic",
    "allowance",
    "build",
    "description",
    "digest",
]
