"""The cipher of secrets: AES-256-GCM (NIST SP 800-38D) with a random nonce for each sealing. Pure.

The name of a secret is authenticated with its value, so that a value that is moved to another name
in the database opens no more. A key is told from others by a number that is derived from it.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from remote_server.domain.secrets import Sealed
from remote_server.errors import ServerError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_SIZE: Final = 32
"""Bytes of a key."""
NONCE_SIZE: Final = 12
"""Bytes of a nonce; random ones are safe for 2^32 sealings with one key."""
_USE: Final = b"remote-server secret\0"
_BETWEEN: Final = re.compile(r"[\s,]+")


class Unreadable(ServerError):
    """A secret cannot be decrypted; the text says why, and is about no value."""


class SealingKey:
    """One key. ValueError when it has another size."""

    __slots__ = ("_cipher", "_key", "id")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise ValueError(f"a key has {KEY_SIZE} bytes")
        self._key = key
        self._cipher: AESGCM | None = None
        self.id: str = hmac.digest(key, b"remote-server secrets key", sha256).hex()[:16]
        """Tells it from other keys, and says nothing about it."""

    def __repr__(self) -> str:
        return f"<SealingKey {self.id}>"

    @property
    def text(self) -> str:
        """As a key file has it."""
        return b64encode(self._key).decode()

    def seal(self, name: str, value: str, nonce: bytes) -> Sealed:
        """Encrypt the value of a secret; the nonce must never be used again with this key."""
        found = self._ready().encrypt(nonce, value.encode(), _bound(name))
        return Sealed(self.id, b64encode(nonce).decode(), b64encode(found).decode())

    def open(self, name: str, sealed: Sealed) -> str:
        """The value. Unreadable when what is stored was changed, or sealed for another name."""
        from cryptography.exceptions import InvalidTag

        try:
            nonce, text = b64decode(sealed.nonce), b64decode(sealed.ciphertext)
            return self._ready().decrypt(nonce, text, _bound(name)).decode()
        except (InvalidTag, ValueError):
            raise Unreadable(
                f"what the database has of the secret {name!r} is damaged or was changed there; "
                f"set it again with: remotectl secret set {name}"
            ) from None

    def _ready(self) -> AESGCM:
        if self._cipher is None:
            # Loaded here: a server without secrets, and its start, need none of it.
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            self._cipher = AESGCM(self._key)
        return self._cipher


class KeyRing:
    """The server's keys: the last one seals, each of them opens what it has sealed."""

    def __init__(self, keys: Sequence[SealingKey]) -> None:
        if not keys:
            raise ValueError("there is no key")
        self.keys = tuple(keys)

    @property
    def current(self) -> SealingKey:
        """The one that seals."""
        return self.keys[-1]

    def open(self, name: str, sealed: Sealed) -> str:
        """The value of a secret. Unreadable."""
        for key in self.keys:
            if key.id == sealed.key_id:
                return key.open(name, sealed)
        raise self.lacks(name, sealed.key_id)

    def has(self, key_id: str) -> bool:
        """Whether one of them has this number."""
        return any(key.id == key_id for key in self.keys)

    def lacks(self, name: str, key_id: str) -> Unreadable:
        """That none of them opens a secret."""
        known = ", ".join(key.id for key in self.keys)
        return Unreadable(
            f"the secret {name!r} is encrypted with the key {key_id}, and the server has another "
            f"one ({known}): give it the former key again, or set the secret again with: "
            f"remotectl secret set {name}"
        )


def parse_keys(text: str) -> KeyRing:
    """Keys as a file or a variable has them: base64 of 32 bytes each, with white space or commas
    between them, the newest last. ValueError, which shows nothing of the text."""
    found = []
    for part in _BETWEEN.split(text.strip(", \t\r\n")):
        try:
            found.append(SealingKey(b64decode(part, validate=True)))
        except ValueError:
            raise ValueError(f"it is not base64 of {KEY_SIZE} bytes") from None
    return KeyRing(found)


def _bound(name: str) -> bytes:
    return _USE + name.encode()
