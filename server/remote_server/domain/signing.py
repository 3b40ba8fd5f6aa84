"""Secrets of webhooks and the signatures made with them (standardwebhooks.com, version 1). Pure.

A secret is never stored: it is made from the server's key, the webhook's id and a number that
counts its secrets. Whoever has only the database can sign nothing.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

PREFIX: Final = "whsec_"
KEY_SIZE: Final = 32
"""Bytes of the server's key."""


def key_text(entropy: bytes) -> str:
    """The text of a new key, from KEY_SIZE random bytes."""
    return b64encode(entropy).decode()


class SigningKey:
    """The key of this server. ValueError when its text is none."""

    def __init__(self, text: str) -> None:
        try:
            self._key = b64decode(text.strip(), validate=True)
        except ValueError:
            self._key = b""
        if len(self._key) != KEY_SIZE:
            raise ValueError(f"it is not base64 of {KEY_SIZE} bytes")

    @property
    def id(self) -> str:
        """Tells it from other keys, and says nothing about it."""
        return self._derived("id").hex()[:16]

    def secret(self, webhook: str, generation: int) -> str:
        """The text of a webhook's secret."""
        return PREFIX + b64encode(self._derived(f"webhook {webhook} {generation}")).decode()

    def _derived(self, what: str) -> bytes:
        return hmac.digest(self._key, what.encode(), sha256)


def headers(secrets: Iterable[str], message: str, at: int, body: bytes) -> dict[str, str]:
    """The headers that let a receiver check a message: `at` in Unix seconds, a signature with each
    secret."""
    signed = f"{message}.{at}.".encode() + body
    found = (
        hmac.digest(b64decode(secret.removeprefix(PREFIX)), signed, sha256) for secret in secrets
    )
    return {
        "webhook-id": message,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{b64encode(one).decode()}" for one in found),
    }
