"""What binds a sign-in to the browser that began it. Pure: entropy is an argument.

The browser keeps one random secret in a cookie for the time of the sign-in; state, nonce and the
verifier of PKCE are made from it, so that the server stores nothing that strangers could fill.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from urllib.parse import urlencode

ENTROPY: Final = 32
"""Random bytes of the secret."""
LASTS: Final = 600
"""Seconds that the browser keeps it."""
_LONGEST: Final = 1200
"""Characters of a cookie that are looked at: the secret and the page to come back to."""


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in under way in one browser."""

    secret: str
    following: str = ""
    """The page to show afterwards, as the browser gave it."""

    @classmethod
    def from_entropy(cls, entropy: bytes, following: str) -> Begun:
        """A new one, from ENTROPY random bytes."""
        return cls(_text(entropy), following)

    @classmethod
    def from_cookie(cls, value: str | None) -> Begun | None:
        """The one that a browser's cookie tells of; None when it tells of none."""
        if not value or len(value) > _LONGEST or not value.isascii():
            return None
        secret, _, following = value.partition(".")
        if len(secret) != 43:
            return None
        try:
            return cls(secret, bytes.fromhex(following).decode())
        except ValueError:
            return None

    @property
    def cookie(self) -> str:
        """What the browser keeps."""
        return f"{self.secret}.{self.following.encode().hex()}"

    @property
    def state(self) -> str:
        """Comes back with the browser: no other browser knows it (RFC 6749 §10.12)."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """Comes back in the ID token: it was made for this sign-in (OpenID Connect Core
        §3.1.2.1)."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """Goes with the code: who stole that alone cannot use it (RFC 7636 §4.1)."""
        return self._derived("verifier")

    @property
    def challenge(self) -> str:
        """The verifier's hash (S256)."""
        return _text(sha256(self.verifier.encode()).digest())

    def came_back(self, state: str) -> bool:
        """Whether this is the state that the sign-in was begun with."""
        return hmac.compare_digest(self.state.encode(), state.encode())

    def _derived(self, use: str) -> str:
        return _text(hmac.new(self.secret.encode(), use.encode(), sha256).digest())


def authorization_url(
    endpoint: str,
    client_id: str,
    redirect_uri: str,
    scopes: tuple[str, ...],
    begun: Begun,
    *,
    fresh: bool = False,
) -> str:
    """Where the browser goes to sign in. `fresh`: the provider asks for name and password again,
    so that another person can be chosen."""
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(scopes),
        "state": begun.state,
        "nonce": begun.nonce,
        "code_challenge": begun.challenge,
        "code_challenge_method": "S256",
    }
    if fresh:
        query["prompt"] = "login"
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"
