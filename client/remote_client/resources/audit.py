"""The audit: list and follow."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from remote_client.modes import method, stream
from remote_client.resources.base import Resource
from remote_protocol.api.audit import AuditEntry
from remote_protocol.api.bodies import Page


class AuditMethods(Resource):
    """Calls about the audit; for admins."""

    @method
    async def audit(self, /, limit: int = 100, **filters: str) -> list[AuditEntry]:
        """The newest entries; filters are those of `GET /audit`: actor, action, subject, result,
        since, until."""
        return self._view(Page[AuditEntry], await self._calls.many("audit", limit, filters)).items

    @stream
    async def follow_audit(
        self, /, after: int = -1, **filters: str
    ) -> AsyncGenerator[AuditEntry, None]:
        """Entries as they are written, from the one after number `after` on (-1: new ones only),
        for as long as the caller reads; a broken link is bridged."""
        async for entry in self._calls.audit_stream(after, True, filters):
            yield self._view(AuditEntry, entry)
