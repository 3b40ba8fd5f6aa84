"""Seals all secrets with a new key. Touches the store and the key.

At any point a crash leaves every value readable, and the next call goes on: the new key is durable
beside the old one before anything is sealed with it, all rows change in one transaction, and the
old key goes last.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple, Protocol

from remote_server.domain.model import SYSTEM, Principal
from remote_server.domain.secrets import Sealed
from remote_server.secrets.keys import KEY_SIZE, NONCE_SIZE, KeyRing, SealingKey
from remote_server.secrets.source import HOW_TO_MAKE, VARIABLE, GivenKeys, KeySource, KeyUnusable


class ResealingStore(Protocol):
    """What is asked of the store."""

    async def reseal_secrets(
        self, key_id: str, reseal: Callable[[str, Sealed], Sealed], by: Principal = SYSTEM
    ) -> int:
        """Replace what every secret's value is stored as, all or none; how many there were."""


class Rotated(NamedTuple):
    """What was done."""

    key_id: str
    sealed: int
    """Secrets that were sealed anew."""
    resumed: bool
    """A rotation that had been broken off was completed."""
    given: bool
    """The keys come from the environment, where the former ones are still."""


async def rotate(
    store: ResealingStore,
    keys: KeySource,
    by: Principal,
    entropy: Callable[[int], bytes] = os.urandom,
) -> Rotated:
    """Seal all secrets with a new key, or go on where that was broken off.

    KeyUnusable; Unreadable when a secret is sealed with a key that is not there. Both leave
    everything as it was, or to be gone on with.
    """
    ring = keys.ring()
    given = isinstance(keys, GivenKeys)
    resumed = len(ring.keys) > 1
    if not resumed:
        if given:
            raise KeyUnusable(
                f"the key of secrets comes from {VARIABLE}: make a new one ({HOW_TO_MAKE}), set "
                "the variable to the present key, a comma and the new one, and call this again"
            )
        ring = KeyRing((*ring.keys, SealingKey(entropy(KEY_SIZE))))
        keys.replace(ring)
    new = ring.current
    count = await store.reseal_secrets(
        new.id,
        lambda name, sealed: new.seal(name, ring.open(name, sealed), entropy(NONCE_SIZE)),
        by,
    )
    if not given:
        keys.replace(KeyRing((new,)))
    return Rotated(new.id, count, resumed and not given, given)
