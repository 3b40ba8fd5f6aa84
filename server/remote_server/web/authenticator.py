"""Who is calling: finds the bearer's token and checks it against a access. Reads the store.

Tokens are looked up by their SHA-256, so that no comparison of secrets takes a time that tells
anything. Tokens found are remembered for a moment, and forgotten with the commit that changes one,
so that a revoked one is refused from the next request on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final, Protocol

from remote_protocol.errors import ErrorCode
from remote_protocol.ids import Role, TokenKind, kind_of
from remote_server.domain.change_set import ChangeSet, hears
from remote_server.domain.model import Token
from remote_server.errors import NotFound, ServerError
from remote_server.web.access import AccessRule
from remote_server.web.failed_attempts import FailedAttempts
from remote_server.web.http.problems import ApiProblem, forbidden

REMEMBERED: Final = 5.0
"""Seconds until a token is looked up again: a change made past this server shows by then."""
_MOST: Final = 20_000
_TOUCH_EVERY: Final = 60.0


class TokenStore(Protocol):
    """What the authenticator needs of the store."""

    async def token_by_hash(self, digest: str) -> Token | None:
        """The token with this SHA-256 (hex), revoked and expired ones included."""

    async def token(self, token: str) -> Token:
        """A token by its id. NotFound."""

    async def touch(self, token: str, now: float) -> None:
        """Note that a token was used."""


def digest(text: str) -> str:
    """How a token is stored: SHA-256 in hexadecimal. Its 256 random bits need no salt."""
    return sha256(text.encode()).hexdigest()


def bearer(header: str | None) -> str:
    """The token in an Authorization header (RFC 6750 §2.1). ApiProblem when there is none."""
    if not header:
        raise ApiProblem(
            ErrorCode.MISSING_TOKEN,
            "this call needs a token: send the header 'Authorization: Bearer rpt_…'",
        )
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise ApiProblem(
            ErrorCode.MISSING_TOKEN,
            "the Authorization header is not of the form 'Bearer TOKEN'",
        )
    return text.strip()


class Authenticator:
    """Admits or refuses bearers of tokens."""

    def __init__(self, store: TokenStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self.clock = clock
        """Seconds that only grow."""
        self._known: dict[str, tuple[Token, float]] = {}
        self._touched: dict[str, float] = {}
        self._failed = FailedAttempts()

    @hears("tokens")
    def committed(self, changes: ChangeSet) -> None:
        """Hear of a commit: tokens that were changed are looked up again."""
        if changes.tokens:
            self._known.clear()

    async def admit(self, header: str | None, access: AccessRule, address: str = "") -> Token:
        """The bearer's token, if `access` allows it. ApiProblem says why it does not, or that too
        many wrong ones came from the address."""
        try:
            return await self._admit_bearer(header, access)
        except ApiProblem as problem:
            raise self._failed.judge(problem, address, self.clock()) from None

    async def _admit_bearer(self, header: str | None, access: AccessRule) -> Token:
        text = bearer(header)
        kind = kind_of(text)
        if kind is None:
            raise ApiProblem(
                ErrorCode.INVALID_TOKEN,
                f"this is no token of a remote-server; this call takes {access.words}",
            )
        if kind not in access.kinds:
            raise ApiProblem(
                ErrorCode.WRONG_TOKEN_KIND,
                f"this is a token of the kind {kind.words} ({kind.value}…), "
                f"but this call takes {access.words}",
            )
        return await self._admit(await self._find(text, kind), kind, access)

    async def admit_owner(self, token: str, access: AccessRule) -> Token:
        """The token with this id, if `access` allows it, for who proved to be its bearer before.

        ApiProblem says why it does not.
        """
        now = self.clock()
        known = self._known.get(token)
        if known is None or known[1] <= now:
            try:
                found = await self._store.token(token)
            except NotFound:
                raise _unknown(TokenKind.API) from None
            known = self._remember(token, found, now)
        kind = TokenKind[known[0].kind.upper()]
        if known[0].revoked or kind not in access.kinds:
            raise _unknown(kind).of(known[0])
        return await self._admit(known[0], kind, access)

    async def _admit(self, token: Token, kind: TokenKind, access: AccessRule) -> Token:
        now = time.time()
        if (expired := _expired(token, kind, now)) is not None:
            raise expired.of(token)
        if access.role and not (token.role or Role.VIEWER).includes(access.role):
            raise forbidden(
                f"this needs the role {access.role}, but the token {token.name!r} has the role "
                f"{token.role or Role.VIEWER}"
            ).of(token)
        if token.limited and not access.limited:
            raise forbidden(
                f"the token {token.name!r} is limited to the queues {', '.join(token.queues)}; "
                "this is about more than them and needs a token that is not limited"
            ).of(token)
        if now - self._touched.get(token.id, 0.0) > _TOUCH_EVERY:
            self._touched[token.id] = now
            await self._store.touch(token.id, now)
        return token

    async def judge(self, token: Token) -> ApiProblem | None:
        """Why a token that was good holds no more; None while it does, or nobody can say."""
        kind = TokenKind[token.kind.upper()]
        try:
            found = await self._store.token(token.id)
        except NotFound:
            return _unknown(kind)
        except ServerError:
            return None
        if found.limited and found.queues != token.queues:
            return ApiProblem(
                ErrorCode.INVALID_TOKEN, "the queues of this token are others now; ask again"
            )
        return _unknown(kind) if found.revoked else _expired(found, kind, time.time())

    async def _find(self, text: str, kind: TokenKind) -> Token:
        name = digest(text)
        now = self.clock()
        found = self._known.get(name)
        if found is not None and found[1] > now:
            return found[0]
        token = await self._store.token_by_hash(name)
        if token is None or token.revoked:
            self._known.pop(name, None)
            raise _unknown(kind) if token is None else _unknown(kind).of(token)
        # The number of uses left must be fresh: registration tokens are not remembered.
        if kind is not TokenKind.REGISTRATION:
            self._remember(name, token, now)
        return token

    def _remember(self, name: str, token: Token, now: float) -> tuple[Token, float]:
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[name] = known = (token, now + REMEMBERED)
        return known


def _unknown(kind: TokenKind) -> ApiProblem:
    return ApiProblem(
        ErrorCode.INVALID_TOKEN,
        f"this {kind.words} is unknown here or was revoked; check that it belongs to this server",
    )


def _expired(token: Token, kind: TokenKind, now: float) -> ApiProblem | None:
    if token.expires_at is None or token.expires_at > now:
        return None
    ended = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(token.expires_at))
    return ApiProblem(
        ErrorCode.EXPIRED_TOKEN,
        f"this {kind.words} expired at {ended}; ask an admin for a new one",
    )
