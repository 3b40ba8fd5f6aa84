"""Speaks HTTP: the API under `/api/v1`, the doors of agents, health and metrics."""

from remote_server.web.application import build, description
from remote_server.web.auth import Doorkeeper, digest
from remote_server.web.services import Services
from remote_server.web.wakes import Wakes

__all__ = ["Doorkeeper", "Services", "Wakes", "build", "description", "digest"]
