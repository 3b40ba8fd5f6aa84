"""A new key for all secrets, broken off at every point."""

from __future__ import annotations

from typing import Any

import pytest

from remote_server.domain.model import SYSTEM, Principal
from remote_server.secrets.keys import KEY_SIZE, KeyRing, SealingKey, Unreadable
from remote_server.secrets.rotation import rotate
from remote_server.secrets.source import GivenKeys, KeyFile, KeyMissing, KeyUnusable
from remote_server.secrets.vault import Vault
from remote_server.store import Store
from tests.support.stored import NOW

BY = Principal("", "alice", "", "command_line")
NAMES = ["A", "B"]


@pytest.fixture
async def two(vault: Vault) -> Vault:
    """A vault with two secrets."""
    for name in NAMES:
        await vault.put(name, f"value of {name}", None, NOW, SYSTEM)
    return vault


async def all_readable(vault: Vault) -> None:
    found = await vault.granted(NAMES, "default")
    assert found.values == {name: f"value of {name}" for name in NAMES}, found.withheld


class Killed(BaseException):
    """The process ends here."""


class Fragile(KeyFile):
    """A key file whose server dies at its n-th replacement, before or after it."""

    def __init__(self, file: KeyFile, dies_at: int, after: bool) -> None:
        super().__init__(file.path, own=True)
        self._left = dies_at
        self._after = after

    def replace(self, ring: KeyRing) -> None:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Killed
        super().replace(ring)
        if self._left == 0:
            raise Killed


async def test_all_values_get_a_new_key(store: Store, two: Vault, key_file: KeyFile) -> None:
    old = key_file.ring().current.id
    done = await rotate(store, key_file, BY)
    assert done.key_id != old and (done.sealed, done.resumed, done.given) == (2, False, False)
    assert [key.id for key in key_file.ring().keys] == [done.key_id]
    assert {secret.key_id for secret in await store.secrets()} == {done.key_id}
    await all_readable(two)
    entry = (await store.audit_page())[0][0]
    assert (entry.action, entry.actor) == ("secret.rotate_key", "alice")


@pytest.mark.parametrize(("dies_at", "after"), [(1, False), (1, True), (2, False), (2, True)])
async def test_a_crash_at_the_file_loses_nothing(
    store: Store, two: Vault, key_file: KeyFile, dies_at: int, after: bool
) -> None:
    with pytest.raises(Killed):
        await rotate(store, Fragile(key_file, dies_at, after), BY)
    await all_readable(two)
    done = await rotate(store, key_file, BY)
    await all_readable(two)
    assert [key.id for key in key_file.ring().keys] == [done.key_id]
    assert done.resumed is ((dies_at, after) in {(1, True), (2, False)})


async def test_a_crash_before_the_commit_loses_nothing(
    store: Store, two: Vault, key_file: KeyFile
) -> None:
    class Dying:
        async def reseal_secrets(self, *arguments: Any) -> int:
            raise Killed

    with pytest.raises(Killed):
        await rotate(Dying(), key_file, BY)
    await all_readable(two)
    # What is set meanwhile is sealed with the new key already.
    await two.put("A", "value of A", None, NOW, SYSTEM)
    done = await rotate(store, key_file, BY)
    assert (done.sealed, done.resumed) == (1, True)
    await all_readable(two)


async def test_what_no_key_opens_keeps_all_as_it_was(
    store: Store, two: Vault, key_file: KeyFile
) -> None:
    lost = SealingKey(b"l" * KEY_SIZE).seal("C", "c", b"n" * 12)
    await store.put_secret("C", lost, None, NOW)
    before = {secret.name: secret.key_id for secret in await store.secrets()}
    with pytest.raises(Unreadable, match="'C' is encrypted with the key"):
        await rotate(store, key_file, BY)
    assert {secret.name: secret.key_id for secret in await store.secrets()} == before
    await all_readable(two)
    await store.delete_secret("C")
    assert (await rotate(store, key_file, BY)).resumed
    await all_readable(two)


async def test_without_a_key_there_is_nothing_to_rotate(store: Store, key_file: KeyFile) -> None:
    with pytest.raises(KeyMissing):
        await rotate(store, key_file, BY)


async def test_keys_of_the_environment_are_changed_by_whoever_sets_them(store: Store) -> None:
    old, new = SealingKey(b"o" * KEY_SIZE), SealingKey(b"n" * KEY_SIZE)
    vault = Vault(store, GivenKeys(old.text))
    for name in NAMES:
        await vault.put(name, f"value of {name}", None, NOW, SYSTEM)
    with pytest.raises(KeyUnusable, match="a comma and the new one"):
        await rotate(store, GivenKeys(old.text), BY)
    done = await rotate(store, GivenKeys(f"{old.text},{new.text}"), BY)
    assert (done.key_id, done.sealed, done.given) == (new.id, 2, True)
    await all_readable(Vault(store, GivenKeys(new.text)))
