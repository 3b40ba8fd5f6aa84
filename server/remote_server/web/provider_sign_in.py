"""Sign-in of browsers by an OpenID provider: begun in a browser, ended by the provider's answer.

A person whom the provider vouches for gets the role of their groups, anew at each sign-in; one whom
no group gives a role loses the sessions that they had. Asks the provider, reads and writes the
store.
"""

from __future__ import annotations

import os
import time
from typing import Final, Protocol

import structlog

from remote_protocol.errors import ErrorCode
from remote_protocol.ids import Role
from remote_server.domain.model import Token
from remote_server.oidc import Begun, Person, ProviderFault, SignInRefused
from remote_server.oidc.flow import ENTROPY
from remote_server.throttle import Throttle
from remote_server.web.failed_attempts import FailedAttempts
from remote_server.web.http.problems import ApiProblem

_log = structlog.get_logger(__name__)
_QUIET: Final = 10.0
COOKIE: Final = "remote_sign_in"
"""What the browser keeps while it is at the provider."""


class PersonStore(Protocol):
    """What sign-ins need of the store."""

    async def admit_person(
        self, subject: str, name: str, role: Role, now: float, address: str
    ) -> Token:
        """The entry of a person who may sign in."""

    async def bar_person(self, subject: str, name: str, address: str) -> None:
        """End the sessions of a person who may not sign in any more."""


class IdentityProvider(Protocol):
    """Who vouches for persons."""

    @property
    def title(self) -> str:
        """What people call it."""

    async def authorization_url(self, begun: Begun, *, fresh: bool = False) -> str:
        """Where a browser signs in. ProviderFault."""

    async def person(self, code: str, issuer: str, begun: Begun) -> Person:
        """Who signed in. ProviderFault, SignInRefused."""

    async def close(self) -> None:
        """Close all connections."""


class ProviderSignIn:
    """Signs browsers in by the provider."""

    def __init__(self, provider: IdentityProvider, store: PersonStore) -> None:
        self._provider = provider
        self._store = store
        self._attempts = FailedAttempts()
        self._faults = Throttle(_QUIET)

    @property
    def title(self) -> str:
        """What people call the provider."""
        return self._provider.title

    async def begin(self, following: str, *, fresh: bool) -> tuple[str, Begun]:
        """Where the browser goes, and what it keeps meanwhile. ProviderFault."""
        begun = Begun.from_entropy(os.urandom(ENTROPY), following)
        return await self._provider.authorization_url(begun, fresh=fresh), begun

    async def finish(
        self, begun: Begun | None, state: str, code: str, issuer: str, address: str
    ) -> Token:
        """Who came back with a code: their entry. ApiProblem when they may not sign in,
        ProviderFault when that cannot be found out."""
        if begun is None or not begun.came_back(state):
            raise ApiProblem(
                ErrorCode.FORBIDDEN,
                "this sign-in did not begin in this browser, or more than ten minutes ago; sign in "
                "again. A browser that comes back under another name than it left is not known: "
                "open the dashboard by the address of [oidc] url",
            )
        self._take_attempt(address)
        try:
            person = await self._provider.person(code, issuer, begun)
        except SignInRefused as refused:
            raise ApiProblem(refused.code, str(refused)) from None
        now = time.time()
        if person.role is None:
            await self._store.bar_person(person.subject, person.name, address)
            nobody = Token("", "api", person.name, now)
            raise ApiProblem(ErrorCode.FORBIDDEN, person.why).of(nobody)
        return await self._store.admit_person(
            person.subject, person.name, person.role, now, address
        )

    def failed(self, fault: ProviderFault, address: str) -> None:
        """Write into the log that the provider could not be asked."""
        more = self._faults.take(str(fault), time.monotonic())
        if more is not None:
            said = {"like_it_since": more} if more else {}
            _log.warning("sign-in failed", reason=str(fault), address=address, **said)

    async def close(self) -> None:
        """Close all connections."""
        await self._provider.close()

    def _take_attempt(self, address: str) -> None:
        """ApiProblem when so many codes came that the provider is not asked for more."""
        self._attempts.count("sign-ins", address, time.monotonic())
