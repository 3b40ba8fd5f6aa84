"""Sets secrets, and gives them to the jobs that may have them. Touches the store and the key.

A value is in memory only while it is sealed, or until the message with it is sent.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Protocol

from remote_protocol.limits import MAX_SECRETS_SIZE
from remote_protocol.spec import JobSpec
from remote_server.domain.model import SYSTEM, Principal
from remote_server.domain.secrets import (
    Granted,
    Scope,
    Sealed,
    SealedSecret,
    Sealer,
    Secret,
    bound_input,
    not_for,
    packed_size,
    too_large,
    unknown,
    unreadable,
)
from remote_server.secrets.keys import KEY_SIZE, NONCE_SIZE, KeyRing, SealingKey, Unreadable
from remote_server.secrets.source import KeyMissing, KeySource, KeyUnusable


class SecretStore(Protocol):
    """What is asked of the store."""

    async def put_secret(
        self, name: str, sealed: Sealed, scope: Scope | None, now: float, by: Principal = SYSTEM
    ) -> tuple[Secret, bool]:
        """Create or replace."""

    async def secrets(self) -> list[Secret]:
        """All, by name."""

    async def sealed_secrets(self, names: Sequence[str]) -> dict[str, SealedSecret]:
        """Those of these names that there are."""

    async def sealed_input(self, job: str) -> Sealed | None:
        """The private input of a job that has not ended."""

    async def has_private_inputs(self) -> bool:
        """Whether any is kept."""


class Vault:
    """The secrets of this server."""

    def __init__(
        self,
        store: SecretStore,
        keys: KeySource,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._store = store
        self._keys = keys
        self._entropy = entropy
        self._making = asyncio.Lock()

    async def put(
        self, name: str, value: str, scope: Scope | None, now: float, by: Principal
    ) -> tuple[Secret, bool]:
        """Create a secret or replace its value; whether it is new. `scope` None: as it was.
        KeyUnusable; UnknownQueue; Conflict."""
        ring = await self._ring_or_first()
        sealed = ring.current.seal(name, value, self._entropy(NONCE_SIZE))
        return await self._store.put_secret(name, sealed, scope, now, by)

    async def granted(self, names: Sequence[str], queue: str) -> Granted:
        """The values of those of these secrets that jobs of a queue get, read now. Never fails for
        the key's sake: what cannot be given is withheld. StoreUnavailable."""
        known = await self._store.sealed_secrets(names)
        values: dict[str, str] = {}
        withheld: dict[str, str] = {}
        trouble, left = "", MAX_SECRETS_SIZE
        ring: KeyRing | None = None
        for name in names:
            found = known.get(name)
            if found is None:
                withheld[name] = unknown(name)
            elif not found.scope.covers(queue):
                withheld[name] = not_for(name, queue)
            else:
                try:
                    ring = ring or self._keys.ring()
                    value = ring.open(name, found.sealed)
                except (KeyUnusable, Unreadable) as error:
                    withheld[name], trouble = unreadable(name), str(error)
                    continue
                size = packed_size(name, value)
                if size > left:
                    withheld[name] = too_large(name)
                else:
                    values[name], left = value, left - size
        return Granted(values, withheld, trouble)

    async def concealed(self, spec: JobSpec) -> tuple[JobSpec, Sealer | None]:
        """A specification that only says that it has a private input, and what seals that for its
        job; None when it has none. KeyUnusable."""
        text = spec.private_input
        if not isinstance(text, str):
            return spec, None
        key = (await self._ring_or_first()).current
        said = spec.model_copy(update={"private_input": True})
        return said, lambda job: key.seal(bound_input(job), text, self._entropy(NONCE_SIZE))

    async def private_input(self, job: str) -> tuple[str | None, str]:
        """The private input of a job, or None and what is the matter with it, for the server's log.
        StoreUnavailable."""
        sealed = await self._store.sealed_input(job)
        if sealed is None:
            return None, "the private input of the job is not kept any more"
        try:
            return self._keys.ring().open(bound_input(job), sealed), ""
        except KeyUnusable as error:
            return None, str(error)
        except Unreadable:
            return None, (
                "the private input of the job cannot be decrypted: it was changed in the database, "
                f"or is encrypted with the key {sealed.key_id}, which the server does not have"
            )

    def problems(self, secrets: Sequence[Secret]) -> dict[str, str]:
        """Why those of these secrets that no job gets are not given, as far as the keys say."""
        if not secrets:
            return {}
        try:
            ring = self._keys.ring()
        except KeyUnusable as error:
            return dict.fromkeys((secret.name for secret in secrets), str(error))
        return {
            secret.name: str(ring.lacks(secret.name, secret.key_id))
            for secret in secrets
            if not ring.has(secret.key_id)
        }

    async def check(self) -> str:
        """What keeps secrets from jobs now, in words; empty when nothing does."""
        secrets = await self._store.secrets()
        return next(iter(self.problems(secrets).values()), "")

    async def faults(self) -> list[str]:
        """A sentence for each secret that cannot be decrypted; one for all without a key."""
        names = [secret.name for secret in await self._store.secrets()]
        if not names:
            return []
        try:
            ring = self._keys.ring()
        except KeyUnusable as error:
            return [str(error)]
        found = []
        for name, secret in (await self._store.sealed_secrets(names)).items():
            try:
                ring.open(name, secret.sealed)
            except Unreadable as error:
                found.append(str(error))
        return found

    async def _ring_or_first(self) -> KeyRing:
        async with self._making:
            try:
                return self._keys.ring()
            except KeyMissing:
                # A new key beside values that it does not open would hide that theirs is lost.
                if await self._store.secrets() or await self._store.has_private_inputs():
                    raise
                self._keys.make(SealingKey(self._entropy(KEY_SIZE)))
                return self._keys.ring()
