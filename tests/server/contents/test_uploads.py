"""Contents on their way: resumed, compared, bounded, and nobody else's."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from remote_protocol.ids import ULID_ENTROPY, make_ulid
from remote_server.contents import ContentUnavailable, ContentUploads, LocalContents
from remote_server.contents.ports import PartKey
from remote_server.contents.uploads import (
    FRESH,
    MOST_OPEN,
    ContentGap,
    ContentTooLarge,
    Received,
    WrongDigest,
)
from remote_server.disk.reserve import Reserve
from remote_server.domain.contents import ContentLimits
from remote_server.domain.model import Principal
from remote_server.errors import Conflict
from remote_server.store import Store
from tests.support.stored import NOW

ANNE = Principal(make_ulid(1, bytes(ULID_ENTROPY)), "anne")
BERT = Principal(make_ulid(2, bytes(ULID_ENTROPY)), "bert")
DATA = os.urandom(100_000)
LIMITS = ContentLimits(200_000, 300_000, 400_000, 7 * 86400.0, 86400.0)


def named(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def uploads(store: Store, kept: LocalContents, now: float = NOW, **limits: Any) -> ContentUploads:
    return ContentUploads(kept, store, LIMITS._replace(**limits), lambda: now)


async def send(to: ContentUploads, data: bytes, by: Principal = ANNE, step: int = 30_000) -> None:
    for at in range(0, len(data) or 1, step):
        await to.receive(named(data), len(data), at, data[at : at + step], by)
    assert (await to.look(named(data), by)).complete


async def test_part_by_part(store: Store, kept: LocalContents) -> None:
    to, digest = uploads(store, kept), named(DATA)
    assert await to.look(digest, ANNE) == Received(0)
    assert await to.receive(digest, 100_000, 0, DATA[:40_000], ANNE) == Received(40_000)
    # Another process goes on where this one was.
    to = uploads(store, kept)
    to.scan()
    assert await to.look(digest, ANNE) == Received(40_000)
    with pytest.raises(ContentGap, match="40000 bytes of the content are here"):
        await to.receive(digest, 100_000, 50_000, DATA[50_000:], ANNE)
    assert await to.receive(digest, 100_000, 20_000, DATA[20_000:60_000], ANNE) == Received(60_000)
    assert await to.receive(digest, 100_000, 60_000, DATA[60_000:], ANNE) == Received(100_000, True)
    assert await kept.read(digest, 0, 100_000) == DATA
    assert await to.receive(digest, 100_000, 0, DATA[:1], ANNE) == Received(100_000, True)
    assert kept.parts() == []


async def test_an_empty_one(store: Store, kept: LocalContents) -> None:
    to = uploads(store, kept)
    assert await to.receive(named(b""), 0, 0, b"", ANNE) == Received(0, True)
    assert (await to.look(named(b""), ANNE)).complete


async def test_what_is_another_file_than_its_digest_says(store: Store, kept: LocalContents) -> None:
    to, digest = uploads(store, kept), named(DATA)
    with pytest.raises(WrongDigest, match="another SHA-256"):
        await to.receive(digest, 4, 0, b"abcd", ANNE)
    assert kept.parts() == [] and await kept.kept() == []
    await send(to, DATA)


async def test_a_digest_alone_gives_nothing(store: Store, kept: LocalContents) -> None:
    to, digest = uploads(store, kept), named(DATA)
    await send(to, DATA)
    assert await to.look(digest, BERT) == Received(0)
    assert await to.receive(digest, 100_000, 0, DATA[:10], BERT) == Received(10)
    await send(to, DATA, BERT)
    assert (await store.content_usage(ANNE)).total == 100_000


async def test_sizes_that_make_no_sense(store: Store, kept: LocalContents) -> None:
    to, digest = uploads(store, kept), named(DATA)
    with pytest.raises(Conflict, match="say the whole size"):
        await to.receive(digest, 10, 0, DATA[:20], ANNE)
    await to.receive(digest, 100_000, 0, DATA[:500], ANNE)
    # The same content by another size: one of them is wrong, and the digest will say which.
    assert await to.receive(digest, 400, 0, b"", ANNE) == Received(0)
    await send(to, DATA)


async def test_bounds(store: Store, kept: LocalContents) -> None:
    to = uploads(store, kept)
    with pytest.raises(ContentTooLarge, match=r"\[contents\] max_size"):
        await to.receive(named(DATA), 200_001, 0, b"", ANNE)
    await send(to, DATA)
    await to.receive("0" * 64, 150_000, 0, b"x", ANNE)
    with pytest.raises(Conflict, match=r"\[contents\] quota"):
        await to.receive("1" * 64, 60_000, 0, b"x", ANNE)
    to.forget(PartKey("0" * 64, ANNE.id))
    await to.receive("1" * 64, 60_000, 0, b"x", ANNE)


async def test_many_at_a_time(store: Store, kept: LocalContents) -> None:
    to = uploads(store, kept, quota=1 << 40)
    for number in range(MOST_OPEN):
        await to.receive(f"{number:064x}", 2, 0, b"x", ANNE)
    with pytest.raises(Conflict, match="on their way"):
        await to.receive("f" * 64, 2, 0, b"x", ANNE)
    await to.receive("f" * 64, 2, 0, b"x", BERT)


async def test_room_is_made_of_what_nobody_needs(store: Store, kept: LocalContents) -> None:
    to = uploads(store, kept, total=250_000)
    first, second, third = (os.urandom(100_000) for _ in range(3))
    await send(to, first)
    await send(to, second, BERT)
    with pytest.raises(ContentUnavailable, match=r"\[contents\] max_total"):
        await send(to, third)
    later = uploads(store, kept, NOW + FRESH + 1, total=250_000)
    await send(later, third)
    assert not (await later.look(named(first), ANNE)).complete
    assert (await later.look(named(second), BERT)).complete
    assert sorted(await kept.kept()) == sorted([named(second), named(third)])


async def test_a_lost_file_is_sent_again(store: Store, kept: LocalContents) -> None:
    to = uploads(store, kept)
    await send(to, DATA)
    await kept.delete(named(DATA))
    assert await to.look(named(DATA), ANNE) == Received(0)
    await send(to, DATA)
    assert await kept.read(named(DATA), 0, 5) == DATA[:5]


class Slow(LocalContents):
    """Contents whose comparison ends when somebody says so."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, Reserve(root.parent, 0), durable=False)
        self.compared, self.go_on = asyncio.Event(), asyncio.Event()

    async def checksum(self, key: PartKey) -> str:
        found = await super().checksum(key)
        self.compared.set()
        await self.go_on.wait()
        return found


async def test_nobody_exchanges_what_is_being_compared(store: Store, tmp_path: Path) -> None:
    kept = Slow(tmp_path / "contents")
    to, digest = uploads(store, kept), named(DATA)
    whole = asyncio.create_task(to.receive(digest, 100_000, 0, DATA, ANNE))
    await kept.compared.wait()
    # The same sender says another size, which would begin the part anew, under the same name.
    other = asyncio.create_task(to.receive(digest, 99_999, 0, b"x" * 90_000, ANNE))
    await settled(to, other)
    assert kept.length(PartKey(digest, ANNE.id)) == 100_000
    kept.go_on.set()
    assert await whole == Received(100_000, complete=True)
    await other
    assert await kept.read(digest, 0, 100_000) == DATA


async def settled(to: ContentUploads, task: asyncio.Task[Received]) -> None:
    """The other upload has been admitted, and waits or has written."""
    while not task.done() and [one.size for one in to._open.values()] != [99_999]:
        await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_no_room_is_kept_for_what_never_came(store: Store, kept: LocalContents) -> None:
    """Nothing would give it up: there is no file that grows old."""
    to = uploads(store, kept)
    for number in range(5):
        digest = f"{number:064x}"
        assert await to.receive(digest, 200_000, 0, b"", ANNE) == Received(0)
        with pytest.raises(ContentGap):
            await to.receive(digest, 200_000, 7, b"x", ANNE)
        with pytest.raises(Conflict, match="say the whole size"):
            await to.receive(digest, 1, 0, b"xx", ANNE)
    assert to._open == {}
    await send(to, DATA)


async def test_no_two_are_promised_the_same_room(store: Store, kept: LocalContents) -> None:
    """Also while others are deleted to make it, which takes a moment."""
    before = uploads(store, kept)
    for _ in range(4):
        await send(before, os.urandom(50_000), BERT)
    to = uploads(store, kept, NOW + FRESH + 1, quota=200_000, total=300_000)
    wanted = [to.receive(f"{n:064x}", 100_000, 0, b"x", ANNE) for n in range(3)]
    done = await asyncio.gather(*wanted, return_exceptions=True)
    assert [type(one) for one in done] == [Received, Received, Conflict]


async def test_many_are_deleted_by_few_looks(store: Store, kept: LocalContents) -> None:
    looks = 0
    find = store.unneeded_contents

    async def counted(limit: int) -> Any:
        nonlocal looks
        looks += 1
        return await find(limit)

    to = uploads(store, kept)
    for number in range(30):
        await send(to, b"%d" % number)
    store.unneeded_contents = counted  # type: ignore[method-assign]
    assert await to.delete_unneeded(1 << 62, NOW + 1) == 10 + 40
    assert looks == 2 and await kept.kept() == []
