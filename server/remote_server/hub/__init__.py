"""The live links to agents: who is connected, what it may take, and its WebSocket."""

from remote_server.hub.hub import Files, Hub
from remote_server.hub.owner import HubTerms

__all__ = ["Files", "Hub", "HubTerms"]
