"""What the server is."""

from __future__ import annotations

from remote_client.modes import method
from remote_client.resources.base import Resource
from remote_protocol.api.server import VersionView


class ServerMethods(Resource):
    """Calls about the server itself."""

    @method
    async def version(self) -> VersionView:
        """What the server is."""
        return self._view(VersionView, await self._calls.version())
