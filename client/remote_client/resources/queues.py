"""Queues: show, list, create, change, delete."""

from __future__ import annotations

from remote_client.modes import method
from remote_client.resources.base import Resource, body_of
from remote_protocol.api.bodies import Page
from remote_protocol.api.queues import QueueChange, QueueCreate, QueueView


class QueueMethods(Resource):
    """Calls about queues."""

    @method
    async def queues(self) -> list[QueueView]:
        """All queues with their load."""
        return self._view(Page[QueueView], await self._calls.page("queues")).items

    @method
    async def queue(self, name: str) -> QueueView:
        """One queue."""
        return self._view(QueueView, await self._calls.one("queues", name))

    @method
    async def create_queue(self, queue: QueueCreate) -> QueueView:
        """Make a queue."""
        return self._view(QueueView, await self._calls.create("queues", body_of(queue)))

    @method
    async def change_queue(self, name: str, change: QueueChange) -> QueueView:
        """Change a queue; fields that are not set stay."""
        return self._view(QueueView, await self._calls.change("queues", name, body_of(change)))

    @method
    async def delete_queue(self, name: str) -> None:
        """Remove a queue that no job waits in and no agent serves."""
        await self._calls.delete("queues", name)
