"""The OpenID provider: what it says of itself, its keys, and who a code stands for.

Discovery and keys are remembered; a key that is not among them is asked for again at most once a
minute, and a provider that fails is left alone for a few seconds, whatever strangers do. Touches
the network by `Requests` only.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus

import jwt

from remote_server.oidc.claims import Person, clocks_differ, person, require_for_us
from remote_server.oidc.faults import ProviderFault, SignInRefused
from remote_server.oidc.flow import Begun, authorization_url
from remote_server.oidc.requests import Requests
from remote_server.oidc_settings import OidcPart

ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
"""Signatures that only the provider can make: neither `none` nor shared secrets."""
REMEMBERED: Final = 3600.0
"""Seconds that discovery and keys are remembered."""
ASK_AGAIN: Final = 60.0
"""Seconds between two looks for a key that was not there."""
LEFT_ALONE: Final = 5.0
"""Seconds that a provider that failed is not asked."""
AT_ONCE: Final = 8
"""Codes that are exchanged at the same time."""
_KEY_TYPES: Final = ("RSA", "EC", "OKP")
_MOST_KEYS: Final = 100
_LONGEST: Final = 64 * 1024
"""Characters of an ID token."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What the provider says of itself (OpenID Connect Discovery 1.0 §3), as far as it is used."""

    authorization: str
    token: str
    keys: str
    by_form: bool
    """It takes the client's secret in the form only."""
    names_itself: bool
    """It says in each answer whose it is (RFC 9207)."""


class Provider:
    """The provider of the configuration. `secret`: the client's; None: a public client."""

    def __init__(
        self,
        settings: OidcPart,
        secret: str | None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._secret = secret
        self._requests = Requests(settings)
        self._clock, self._monotonic = clock, monotonic
        self._lock = asyncio.Lock()
        self._discovery: tuple[Discovery, float] | None = None
        self._keys: tuple[list[dict[str, Any]], float] | None = None
        self._failed: tuple[ProviderFault, float] | None = None
        self._exchanges = asyncio.Semaphore(AT_ONCE)

    @property
    def title(self) -> str:
        """What people call it."""
        return self.settings.name

    async def close(self) -> None:
        """Close all connections."""
        await self._requests.close()

    async def authorization_url(self, begun: Begun, *, fresh: bool = False) -> str:
        """Where a browser signs in. ProviderFault."""
        found = await self._discover()
        given = self.settings
        return authorization_url(
            found.authorization, given.client_id, given.redirect_uri, given.scopes, begun,
            fresh=fresh,
        )  # fmt: skip

    async def person(self, code: str, issuer: str, begun: Begun) -> Person:
        """Who signed in, by the code that the browser brought back and what the answer says of its
        issuer (RFC 9207). ProviderFault, SignInRefused."""
        found = await self._discover()
        if (issuer or found.names_itself) and issuer != self.settings.issuer:
            raise SignInRefused("the answer is another provider's; sign in again")
        async with self._exchanges:
            token = await self._exchange(found, code, begun)
        claims = await self._verified(found, token)
        now, skew = self._clock(), self.settings.clock_skew
        require_for_us(claims, self.settings.client_id, begun.nonce, now, skew)
        return person(claims, self.settings)

    async def _discover(self) -> Discovery:
        async with self._lock:
            now = self._monotonic()
            if self._discovery is None or self._discovery[1] <= now:
                self._discovery = (await self._asked(self._read_discovery), now + REMEMBERED)
            return self._discovery[0]

    async def _read_discovery(self) -> Discovery:
        issuer = self.settings.issuer or ""
        url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        said = await self._requests.get(url, "discovery document")
        if said.get("issuer") != issuer:
            raise ProviderFault(
                f"the provider calls itself {str(said.get('issuer'))[:200]!r}, not {issuer!r}",
                "set [oidc] issuer to exactly what it says, the slash at the end included",
            )
        host = self._requests.require_host
        methods = said.get("token_endpoint_auth_methods_supported")
        return Discovery(
            authorization=host(said.get("authorization_endpoint"), "authorization endpoint"),
            token=host(said.get("token_endpoint"), "token endpoint"),
            keys=host(said.get("jwks_uri"), "list of keys"),
            by_form=isinstance(methods, list)
            and "client_secret_post" in methods
            and "client_secret_basic" not in methods,
            names_itself=said.get("authorization_response_iss_parameter_supported") is True,
        )

    async def _asked(self, ask: Callable[[], Any]) -> Any:
        """What the provider answers, unless it failed a moment ago."""
        now = self._monotonic()
        if self._failed is not None and now < self._failed[1]:
            raise self._failed[0]
        try:
            answer = await ask()
        except ProviderFault as fault:
            self._failed = (fault, self._monotonic() + LEFT_ALONE)
            raise
        self._failed = None
        return answer

    async def _exchange(self, found: Discovery, code: str, begun: Begun) -> str:
        """The ID token for a code (RFC 6749 §4.1.3, RFC 7636 §4.5)."""
        client = self.settings.client_id
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.settings.redirect_uri,
            "code_verifier": begun.verifier,
        }
        headers: dict[str, str] = {}
        if self._secret is None:
            form["client_id"] = client
        elif found.by_form:
            form |= {"client_id": client, "client_secret": self._secret}
        else:
            both = f"{quote_plus(client)}:{quote_plus(self._secret)}".encode()
            headers["Authorization"] = f"Basic {b64encode(both).decode()}"
        status, said = await self._requests.post(found.token, "token endpoint", form, headers)
        token = said.get("id_token")
        if status == 200 and isinstance(token, str) and 0 < len(token) <= _LONGEST:
            return token
        raise _refused(status, str(said.get("error", ""))[:64])

    async def _verified(self, found: Discovery, token: str) -> dict[str, Any]:
        """The claims of an ID token with a good signature, of this issuer, for this client."""
        try:
            header = jwt.get_unverified_header(token)
            algorithm, name = str(header.get("alg")), header.get("kid")
            if algorithm not in ALGORITHMS:
                raise SignInRefused("the provider's token is not signed with a key of its own")
            key = await self._key(found, name, algorithm)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self.settings.client_id,
                issuer=self.settings.issuer,
                leeway=self.settings.clock_skew,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError):
            raise clocks_differ(None) from None
        except jwt.InvalidAudienceError:
            raise ProviderFault(
                "the provider's token is for another client", "check [oidc] client_id"
            ) from None
        except jwt.MissingRequiredClaimError as error:
            raise ProviderFault(
                f"the provider's token has no claim {error.claim!r}", "this is no OpenID provider's"
            ) from None
        except jwt.PyJWTError as error:
            raise SignInRefused(
                f"the provider's token is not valid ({type(error).__name__}); sign in again"
            ) from None
        return claims

    async def _key(self, found: Discovery, name: object, algorithm: str) -> jwt.PyJWK:
        """The key that signed a token. SignInRefused when the provider has no such key."""
        key = _chosen(await self._known_keys(found, again=False), name, algorithm)
        if key is None:
            # It may have taken a new key since.
            key = _chosen(await self._known_keys(found, again=True), name, algorithm)
        if key is None:
            raise SignInRefused(
                "the provider's token is signed with a key that is not in its list; sign in again "
                "in a minute"
            )
        return key

    async def _known_keys(self, found: Discovery, *, again: bool) -> list[dict[str, Any]]:
        async with self._lock:
            now = self._monotonic()
            asked = None if self._keys is None else self._keys[1]
            old = asked is None or now - asked >= (ASK_AGAIN if again else REMEMBERED)
            if self._keys is None or old:
                said = await self._asked(lambda: self._requests.get(found.keys, "list of keys"))
                keys = said.get("keys")
                usable = keys if isinstance(keys, list) else []
                self._keys = ([key for key in usable[:_MOST_KEYS] if isinstance(key, dict)], now)
            return self._keys[0]


def _chosen(keys: list[dict[str, Any]], name: object, algorithm: str) -> jwt.PyJWK | None:
    """The key of this name, or the only one that fits where the token names none."""
    fitting = [
        key
        for key in keys
        if key.get("kty") in _KEY_TYPES
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (name is None or key.get("kid") == name)
    ]
    if len(fitting) != 1:
        return None
    try:
        return jwt.PyJWK(fitting[0], algorithm)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None


def _refused(status: int, error: str) -> ProviderFault | SignInRefused:
    """Why the provider gives no token for a code (RFC 6749 §5.2)."""
    if error == "invalid_grant":
        return SignInRefused("this sign-in was used already, or took too long; sign in again")
    if error in ("invalid_client", "unauthorized_client") or status == 401:
        return ProviderFault(
            f"the provider does not accept this server as its client ({error or status})",
            "check [oidc] client_id and the client's secret, which may have expired there",
        )
    what = error if error.isascii() and error.isprintable() and error else f"status {status}"
    return ProviderFault(
        f"the provider gave no token for the sign-in ({what})",
        "check that [oidc] url is among the redirect addresses of the client there, followed by "
        "/oidc-callback",
    )
