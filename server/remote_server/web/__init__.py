"""Speaks HTTP: the API under `/api/v1`, the doors of agents, health and metrics."""

from remote_server.web.application import build, description
from remote_server.web.auth import Doorkeeper, digest
from remote_server.web.bodies import BodyBudget
from remote_server.web.connection import Connection
from remote_server.web.connections import Connections, allowance
from remote_server.web.listener import Listener
from remote_server.web.services import Services
from remote_server.web.streams import Streams
from remote_server.web.wakes import Wakes

__all__ = [
    "BodyBudget",
    "Connection",
    "Connections",
    "Doorkeeper",
    "Listener",
    "Services",
    "Streams",
    "Wakes",
    "allowance",
    "build",
    "description",
    "digest",
]
