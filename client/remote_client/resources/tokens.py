"""Tokens of people, programs and agents: list, create, revoke."""

from __future__ import annotations

from remote_client.modes import method
from remote_client.resources.base import Resource, body_of
from remote_protocol.api.bodies import Page
from remote_protocol.api.tokens import RegistrationTokenCreate, TokenCreate, TokenCreated, TokenView
from remote_protocol.ids import Role


class TokenMethods(Resource):
    """Calls about tokens."""

    @method
    async def token_page(self, kind: str = "tokens") -> Page[TokenView]:
        """API and agent tokens, or with `registration-tokens` those."""
        return self._view(Page[TokenView], await self._calls.page(kind))

    @method
    async def create_token(
        self,
        name: str,
        role: Role = Role.VIEWER,
        *,
        agent: str | None = None,
        expires: float | None = None,
    ) -> TokenCreated:
        """An API token, or with `agent` the token of one agent to come."""
        body = body_of(TokenCreate(name=name, role=role, agent=agent, expires=expires))
        return self._view(TokenCreated, await self._calls.create("tokens", body))

    @method
    async def create_registration_token(self, request: RegistrationTokenCreate) -> TokenCreated:
        """A token with which agents enrol."""
        body = request.model_dump(mode="json")
        return self._view(TokenCreated, await self._calls.create("registration-tokens", body))

    @method
    async def revoke_token(self, token: str, kind: str = "tokens") -> None:
        """End a token at once, by its id."""
        await self._calls.delete(kind, token)
