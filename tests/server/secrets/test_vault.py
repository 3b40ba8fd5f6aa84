"""Who gets which secret, and what is withheld with which words."""

from __future__ import annotations

import asyncio

import pytest

from remote_protocol.api.queues import QueueCreate
from remote_server.domain.model import SYSTEM
from remote_server.domain.secrets import Granted, Scope
from remote_server.secrets.keys import KEY_SIZE, SealingKey
from remote_server.secrets.source import KeyFile, KeyMissing, KeyUnusable
from remote_server.secrets.vault import Vault
from remote_server.store import Store
from tests.support.stored import NOW, spec

VALUE = "correct horse"


async def put(vault: Vault, name: str, value: str = VALUE, scope: Scope | None = None) -> None:
    await vault.put(name, value, scope, NOW, SYSTEM)


async def test_jobs_get_what_is_for_their_queue(store: Store, vault: Vault) -> None:
    await store.create_queue(QueueCreate(name="berlin"), NOW)
    await put(vault, "A")
    await put(vault, "B", "b", Scope(("berlin",)))
    await put(vault, "C", "c", Scope((), True))
    found = await vault.granted(["A", "B", "C", "D"], "default")
    assert found.values == {"A": VALUE, "C": "c"}
    assert list(found.withheld) == ["B", "D"]
    assert "not given to jobs of the queue 'default'" in found.withheld["B"]
    assert "berlin" not in found.withheld["B"]
    assert "no secret 'D'" in found.withheld["D"]
    assert (await vault.granted(["A", "B"], "berlin")).values == {"B": "b"}
    assert await vault.granted([], "default") == Granted()
    assert VALUE not in repr(found)


async def test_a_value_is_read_when_it_is_asked_for(store: Store, vault: Vault) -> None:
    await put(vault, "A")
    await put(vault, "A", "new")
    assert (await vault.granted(["A"], "default")).values == {"A": "new"}
    await store.delete_secret("A")
    assert list((await vault.granted(["A"], "default")).withheld) == ["A"]


async def test_the_first_key_is_made_once(vault: Vault, key_file: KeyFile) -> None:
    assert not key_file.path.exists()
    await asyncio.gather(put(vault, "A", "a"), put(vault, "B", "b"))
    assert (await vault.granted(["A", "B"], "default")).values == {"A": "a", "B": "b"}
    assert await vault.check() == ""


async def test_a_lost_key_withholds_and_is_not_made_anew(
    store: Store, vault: Vault, key_file: KeyFile
) -> None:
    await put(vault, "A")
    kept = key_file.path.read_text()
    key_file.path.unlink()
    found = await vault.granted(["A"], "default")
    assert not found.values and "remotectl secret show A" in found.withheld["A"]
    assert "the key of secrets is missing" in found.trouble
    assert await vault.check() == found.trouble
    with pytest.raises(KeyMissing):
        await put(vault, "B")
    key_file.path.touch(0o600)
    key_file.path.write_text(kept)
    assert (await vault.granted(["A"], "default")).values == {"A": VALUE}
    # Nothing is sealed any more: a new key hides nothing.
    key_file.path.unlink()
    await store.delete_secret("A")
    await put(vault, "B")
    assert (await vault.granted(["B"], "default")).values == {"B": VALUE}


async def test_a_wrong_key_names_both(store: Store, vault: Vault, key_file: KeyFile) -> None:
    await put(vault, "A")
    first, other = key_file.ring().current.id, SealingKey(b"x" * KEY_SIZE)
    key_file.make(other)
    said = (await vault.granted(["A"], "default")).trouble
    assert first in said and other.id in said
    await put(vault, "B", "b")
    assert vault.problems(await store.secrets()) == {"A": said}
    assert await vault.check() == said
    assert (await vault.granted(["A", "B"], "default")).values == {"B": "b"}


async def test_a_key_that_others_read_is_not_used(vault: Vault, key_file: KeyFile) -> None:
    await put(vault, "A")
    key_file.path.chmod(0o644)
    assert "chmod 600" in (await vault.granted(["A"], "default")).trouble
    with pytest.raises(KeyUnusable):
        await put(vault, "B")


async def test_a_value_moved_to_another_name_is_withheld(store: Store, vault: Vault) -> None:
    await put(vault, "A", scope=Scope((), True))
    await put(vault, "B", "b")
    stolen = (await store.sealed_secrets(["A"]))["A"].sealed
    await store.put_secret("B", stolen, None, NOW)
    found = await vault.granted(["A", "B"], "default")
    assert found.values == {"A": VALUE} and "was changed" in found.trouble
    assert list(found.withheld) == ["B"]


async def test_all_of_a_job_have_a_size(vault: Vault) -> None:
    names = [f"S{number}" for number in range(17)]
    for name in names:
        await put(vault, name, "x" * 64 * 1024)
    found = await vault.granted(names, "default")
    assert list(found.withheld) == names[15:]
    assert "larger than 1048576 bytes" in found.withheld["S16"]


async def test_every_secret_that_does_not_open_is_a_fault(
    store: Store, vault: Vault, key_file: KeyFile
) -> None:
    assert await vault.faults() == []
    for name in ("A", "B", "C"):
        await put(vault, name)
    assert await vault.faults() == []
    sealed = (await store.sealed_secrets(["A"]))["A"].sealed
    await store.put_secret("B", sealed, None, NOW)
    await store.put_secret("C", sealed._replace(key_id="lost"), None, NOW)
    damaged, other = await vault.faults()
    assert "'B' is damaged or was changed" in damaged and "'C' is encrypted with the key" in other
    key_file.path.unlink()
    (missing,) = await vault.faults()
    assert "the key of secrets is missing" in missing


async def test_a_private_input_is_sealed_for_its_job(
    store: Store, vault: Vault, key_file: KeyFile
) -> None:
    plain = spec()
    assert await vault.concealed(plain) == (plain, None)
    said, seal = await vault.concealed(spec(private_input=VALUE))
    assert said.private_input is True and seal is not None
    (job,) = await store.submit([said], NOW, inputs={0: seal})
    (other,) = await store.submit([said], NOW, inputs={0: lambda _: seal(job.id)})
    assert await vault.private_input(job.id) == (VALUE, "")
    found, why = await vault.private_input(other.id)
    assert found is None and "cannot be decrypted" in why
    await store.request_cancel(job.id, "", NOW)
    assert (await vault.private_input(job.id))[1].endswith("is not kept any more")
    # A lost key is not made anew while something is sealed with it.
    key_file.path.unlink()
    assert "the key of secrets is missing" in (await vault.private_input(other.id))[1]
    with pytest.raises(KeyMissing):
        await put(vault, "B")
