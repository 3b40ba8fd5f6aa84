"""Who is at a browser: signs in with an API token, and is known by a cookie from then on.

A session may do what its token may, and ends with it. Only the hash of the cookie's secret is
stored (OWASP Session Management). API and pages never take each other's credentials: a page that
another site makes a browser ask for cannot reach the API. Reads and writes the store.
"""

from __future__ import annotations

import hmac
import os
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

from remote_protocol.errors import ErrorCode
from remote_server.config import SessionsPart
from remote_server.domain.change_set import ChangeSet, hears
from remote_server.domain.model import Principal, Session, Token
from remote_server.errors import ServerError
from remote_server.web.access import AccessRule
from remote_server.web.authenticator import REMEMBERED, Authenticator, digest
from remote_server.web.http.problems import ApiProblem, forbidden

COOKIE: Final = "remote_session"
_LONGEST: Final = 128
"""Characters of a secret that are looked at."""
_ENTROPY: Final = 32
_TOUCH_EVERY: Final = 60.0
_MOST: Final = 20_000


class SessionStore(Protocol):
    """What sessions need of the store."""

    async def begin_session(
        self, session: Session, unused_since: float, by: Principal, audited: bool
    ) -> None:
        """Store a new session, and delete old ones."""

    async def session(self, digest: str) -> Session | None:
        """The session with this hash."""

    async def use_session(self, digest: str, now: float) -> None:
        """Note that a session was used."""

    async def end_session(self, digest: str, by: Principal, audited: bool) -> None:
        """Forget a session."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A browser that was admitted."""

    token: Token
    secret: str

    @property
    def session(self) -> str:
        """The hash by which its session is stored."""
        return digest(self.secret)

    @property
    def csrf(self) -> str:
        """What each form of this session holds: another site cannot know it (OWASP CSRF
        Prevention, HMAC based token)."""
        return hmac.new(self.secret.encode(), b"csrf", sha256).hexdigest()

    def require_csrf(self, given: str) -> None:
        """ApiProblem when a form was not made for this session."""
        if not hmac.compare_digest(self.csrf.encode(), given.encode()):
            raise forbidden(
                "this form was made for another session; load the page again and repeat what you "
                "did"
            )


class Sessions:
    """Begins, admits and ends the sessions of browsers."""

    def __init__(
        self, store: SessionStore, authenticator: Authenticator, settings: SessionsPart
    ) -> None:
        self._store = store
        self._authenticator = authenticator
        self._idle = settings.idle_timeout
        self._longest = settings.max_age
        self._known: dict[str, tuple[Session, float]] = {}

    @hears("sessions")
    def committed(self, changes: ChangeSet) -> None:
        """Hear of a commit: sessions that ended are known no more."""
        for name in changes.sessions:
            self._known.pop(name, None)

    async def begin(self, token: Token, address: str, audited: bool = True) -> str:
        """Sign a browser in; the secret of its cookie. `audited`: the audit says so."""
        secret = urlsafe_b64encode(os.urandom(_ENTROPY)).rstrip(b"=").decode()
        now = time.time()
        session = Session(digest(secret), token.id, now, now, now + self._longest)
        by = token.used_from(address)
        await self._store.begin_session(session, now - self._idle, by, audited)
        return secret

    async def admit(self, secret: str | None, access: AccessRule) -> SignedIn:
        """Who is at the browser, if `access` allows it. ApiProblem says why it does not."""
        session = await self._find(secret)
        now = time.time()
        if secret is None or session is None or not self._holds(session, now):
            raise _over()
        token = await self._authenticator.admit_owner(session.token, access)
        if now - session.used_at > _TOUCH_EVERY:
            await self._store.use_session(session.hash, now)
            self._known.pop(session.hash, None)
        return SignedIn(token, secret)

    async def end(self, signed_in: SignedIn, address: str, audited: bool = True) -> None:
        """Sign a browser out. `audited`: the audit says so."""
        by = signed_in.token.used_from(address)
        await self._store.end_session(signed_in.session, by, audited)
        # Not before: a request meanwhile would read it once more.
        self._known.pop(signed_in.session, None)

    async def judge(self, name: str) -> ApiProblem | None:
        """Why the session with this hash is over; None while it holds, or nobody can say."""
        try:
            found = await self._store.session(name)
        except ServerError:
            return None
        return None if found is not None and self._holds(found, time.time()) else _over()

    def _holds(self, session: Session, now: float) -> bool:
        return now < session.expires_at and now - session.used_at < self._idle

    async def _find(self, secret: str | None) -> Session | None:
        if not secret or len(secret) > _LONGEST or not secret.isascii():
            return None
        name, now = digest(secret), time.monotonic()
        known = self._known.get(name)
        if known is not None and known[1] > now:
            return known[0]
        session = await self._store.session(name)
        if session is not None:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[name] = (session, now + REMEMBERED)
        return session


def _over() -> ApiProblem:
    return ApiProblem(ErrorCode.MISSING_TOKEN, "sign in to see this page")
