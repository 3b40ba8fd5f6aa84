"""Secrets: set, list, show, change who gets them, delete. Nothing gives a value back."""

from __future__ import annotations

from remote_client.modes import method
from remote_client.resources.base import Resource, body_of
from remote_protocol.api.bodies import Page
from remote_protocol.api.secrets import SecretChange, SecretPut, SecretView


class SecretMethods(Resource):
    """Calls about secrets."""

    @method
    async def secrets(self) -> list[SecretView]:
        """All secrets, without their values."""
        return self._view(Page[SecretView], await self._calls.every("secrets")).items

    @method
    async def secret(self, name: str) -> SecretView:
        """One secret, without its value."""
        return self._view(SecretView, await self._calls.one("secrets", name))

    @method
    async def set_secret(self, name: str, secret: SecretPut) -> SecretView:
        """Create a secret, or replace its value; without queues it keeps those that it has."""
        return self._view(SecretView, await self._calls.put("secrets", name, body_of(secret)))

    @method
    async def change_secret(self, name: str, change: SecretChange) -> SecretView:
        """Change which queues' jobs get a secret; its value stays."""
        return self._view(SecretView, await self._calls.change("secrets", name, body_of(change)))

    @method
    async def delete_secret(self, name: str) -> None:
        """Remove a secret."""
        await self._calls.delete("secrets", name)
