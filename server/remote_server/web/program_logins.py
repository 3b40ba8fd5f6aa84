"""Logins of programs: begun by a program, confirmed by a person on a page, taken by the program
(OAuth 2.0 Device Authorization Grant, RFC 8628). Reads and writes the store.

The program keeps a secret, the person compares a code that is shown on both sides; of both only
hashes are stored. The token is made when the program takes it: until then there is none.
"""

from __future__ import annotations

import math
import os
import secrets
import time
from base64 import urlsafe_b64encode
from collections import OrderedDict
from typing import Final, NamedTuple

from remote_protocol.errors import ErrorCode
from remote_protocol.ids import TOKEN_ENTROPY, Role, TokenKind, make_token
from remote_server.domain.model import Token
from remote_server.errors import NotFound
from remote_server.store import Store
from remote_server.store.logins import MOST, PENDING, Login
from remote_server.web.authenticator import digest
from remote_server.web.failed_attempts import FailedAttempts
from remote_server.web.http.problems import ApiProblem

LASTS: Final = 600.0
"""Seconds that a person has."""
INTERVAL: Final = 3.0
"""Seconds between two questions of the program."""
SLOWER: Final = 5.0
"""Seconds that are added for a program that asks sooner (RFC 8628 §3.5)."""
SLOWEST: Final = 60.0
LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
"""Of codes: nothing that looks like something else, and no words (RFC 8628 §6.1)."""
_LENGTH: Final = 8
_ENTROPY: Final = 32


def as_code(text: str) -> str:
    """A code as it is stored, however it was typed."""
    return "".join(letter for letter in text.upper() if letter in LETTERS)[: _LENGTH + 1]


def shown(code: str) -> str:
    """A code as people read it: `BCDF-GHJK`."""
    return f"{code[:4]}-{code[4:]}"


class _Question(NamedTuple):
    """The last question about a login."""

    at: float
    """Of a clock that only grows."""
    interval: float
    """Seconds until the next one may come."""


class ProgramLogins:
    """Begins, decides and gives logins."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._attempts = FailedAttempts()
        self._questions: OrderedDict[str, _Question] = OrderedDict()

    async def begin(self, name: str, address: str, role: Role | None = None) -> tuple[str, str]:
        """A new login; what the program keeps, and the code. ApiProblem when too many came."""
        self._count(address)
        secret = urlsafe_b64encode(os.urandom(_ENTROPY)).rstrip(b"=").decode()
        code = "".join(secrets.choice(LETTERS) for _ in range(_LENGTH))
        now = time.time()
        await self._store.begin_login(
            Login(
                digest(secret),
                _digest(code),
                name,
                address,
                now,
                now + LASTS,
                role=role.value if role else None,
            )
        )
        return secret, code

    async def find(self, code: str, address: str) -> Login:
        """The login with this code that waits. ApiProblem when there is none; who tries codes is
        told to wait."""
        found = await self._store.login_by_code(_digest(as_code(code)), time.time())
        if found is None:
            self._count(address)
            raise ApiProblem(
                ErrorCode.NOT_FOUND,
                "no login waits with this code: it was decided already, or is older than ten "
                "minutes; run remotectl login again",
            )
        return found

    async def decide(
        self, code: str, by: Token, address: str, role: Role | None, lifetime: float
    ) -> None:
        """Confirm a login with a role of at most the person's own, or refuse it."""
        await self.find(code, address)
        if role is not None and not (by.role or Role.VIEWER).includes(role):
            raise ApiProblem(ErrorCode.FORBIDDEN, "choose a role that is no higher than your own")
        principal = by.used_from(address)
        await self._store.decide_login(
            _digest(as_code(code)), time.time(), principal, role, lifetime
        )

    async def take(self, secret: str, address: str) -> tuple[str, Token | None, str]:
        """What became of a login: its state, and once its token with its text. ApiProblem when
        there is none, or when it is asked again too soon."""
        key, text = digest(secret), make_token(TokenKind.API, os.urandom(TOKEN_ENTROPY))
        now = time.monotonic()
        self._keep_interval(key, now)
        try:
            state, token = await self._store.take_login(key, digest(text), time.time())
        except NotFound:
            self._count(address)
            raise ApiProblem(
                ErrorCode.NOT_FOUND,
                "no such login waits: it was taken already, or nobody confirmed it within ten "
                "minutes; run remotectl login again",
            ) from None
        if state == PENDING:
            self._asked(key, now)
        else:
            self._questions.pop(key, None)
        return state, token, text

    def _keep_interval(self, key: str, now: float) -> None:
        """ApiProblem for a question that comes too soon; the next ones come more slowly then."""
        last = self._questions.get(key)
        if last is None or now - last.at >= last.interval:
            return
        interval = min(last.interval + SLOWER, SLOWEST)
        self._questions[key] = last._replace(interval=interval)
        seconds = math.ceil(last.at + interval - now)
        raise ApiProblem(
            ErrorCode.TOO_MANY_REQUESTS,
            f"this login is asked about too often; ask again in {seconds} s, and then every "
            f"{interval:g} s",
            headers={"Retry-After": str(seconds)},
        )

    def _asked(self, key: str, now: float) -> None:
        """Remember a question about a login that waits: of no more logins than may wait."""
        last = self._questions.pop(key, None)
        self._questions[key] = _Question(now, INTERVAL if last is None else last.interval)
        if len(self._questions) > MOST:
            self._questions.popitem(last=False)

    def _count(self, address: str) -> None:
        """ApiProblem when too many came from one network."""
        self._attempts.count("logins", address, time.monotonic())


def _digest(code: str) -> str:
    return digest(f"login {code}")
