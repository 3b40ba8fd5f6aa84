"""An OpenID provider on loopback that checks what it is sent, and misbehaves when it is told to.

What a real one does, `tests/e2e/test_oidc.py` shows; this one also does what none should.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

CLIENT = "remote-server"
SECRET = "the client's secret: %&+"


@dataclass
class Key:
    """A key that signs ID tokens."""

    name: str = "first"
    private: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def public(self) -> dict[str, Any]:
        """As the list of keys has it."""
        found = json.loads(ECAlgorithm.to_jwk(self.private.public_key()))
        return {**found, "kid": self.name, "use": "sig", "alg": "ES256"}


@dataclass
class Issuer:
    """The provider. What is set here holds from the next request on."""

    url: str = ""
    keys: list[Key] = field(default_factory=lambda: [Key()])
    """The first one signs."""
    claims: dict[str, Any] = field(default_factory=dict)
    """Of the person who signs in; None takes a claim away."""
    discovery: dict[str, Any] = field(default_factory=dict)
    answer: tuple[int, dict[str, str], bytes] | None = None
    """Status, headers and body that every request gets instead of its answer."""
    token: str | None = None
    """The ID token that is given instead of a signed one."""
    asked: Counter[str] = field(default_factory=Counter)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def authorize(self, url: str) -> dict[str, str]:
        """What the browser brings back when a person signs in at this address."""
        query = dict(parse_qsl(urlsplit(url).query))
        assert query["response_type"] == "code" and query["code_challenge_method"] == "S256"
        assert query["client_id"] == CLIENT and "openid" in query["scope"].split()
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        return {"code": code, "state": query["state"], "iss": self.url}

    def signed(self, nonce: str, **more: Any) -> str:
        """An ID token."""
        now = time.time()
        usual = {
            "iss": self.url, "aud": CLIENT, "sub": "4711", "nonce": nonce, "iat": now,
            "exp": now + 300, "preferred_username": "alice", "groups": ["ops"],
        }  # fmt: skip
        claims = {**usual, **self.claims, **more}
        kept = {name: value for name, value in claims.items() if value is not None}
        key = self.keys[0]
        return jwt.encode(kept, key.private, algorithm="ES256", headers={"kid": key.name})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        self.asked[request.path] += 1
        if self.answer is not None:
            status, headers, body = self.answer
            return web.Response(status=status, headers=headers, body=body)
        if request.path == "/.well-known/openid-configuration":
            return web.json_response(
                {
                    "issuer": self.url,
                    "authorization_endpoint": f"{self.url}/authorize",
                    "token_endpoint": f"{self.url}/token",
                    "jwks_uri": f"{self.url}/keys",
                    **self.discovery,
                }
            )
        if request.path == "/keys":
            return web.json_response({"keys": [key.public for key in self.keys]})
        return await self._give_token(request)

    async def _give_token(self, request: web.Request) -> web.Response:
        form = await request.post()
        kind, _, both = request.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            client, _, secret = b64decode(both).decode().partition(":")
            client, secret = unquote_plus(client), unquote_plus(secret)
        else:
            client, secret = str(form.get("client_id")), str(form.get("client_secret"))
        if (client, secret) != (CLIENT, SECRET):
            return web.json_response({"error": "invalid_client"}, status=401)
        begun = self.codes.pop(str(form["code"]), None)
        challenge = urlsafe_b64encode(sha256(str(form["code_verifier"]).encode()).digest())
        if (
            begun is None
            or begun["code_challenge"] != challenge.rstrip(b"=").decode()
            or begun["redirect_uri"] != form["redirect_uri"]
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        token = self.token or self.signed(begun["nonce"])
        return web.json_response({"access_token": "x", "token_type": "Bearer", "id_token": token})


@asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    """A provider that runs for as long as the context lasts."""
    issuer = Issuer()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", issuer.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield issuer
    finally:
        await runner.cleanup()
