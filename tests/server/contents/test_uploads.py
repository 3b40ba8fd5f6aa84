"""Contents on their way: resumed, compared, bounded, and nobody else's."""

from __future__ import annotations

import hashlib
import os
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
