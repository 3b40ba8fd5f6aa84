"""Contents on an agent's disk: compared, kept by their last use, and never without room."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from remote_agent.local.content_cache import ContentCache
from remote_protocol.contents import ContentRef


def ref(data: bytes) -> ContentRef:
    return ContentRef(hashlib.sha256(data).hexdigest(), len(data))


@pytest.fixture
def cache(tmp_path: Path) -> ContentCache:
    made = ContentCache(tmp_path / "contents", 1000, 0)
    made.prepare()
    return made


def nothing(digest: str) -> bool:
    return False


def only(*contents: ContentRef) -> Callable[[str], bool]:
    digests = {one.digest for one in contents}
    return digests.__contains__


def put(cache: ContentCache, data: bytes) -> ContentRef:
    cache.append(ref(data), 0, memoryview(data))
    assert cache.finish(ref(data))
    return ref(data)


def test_one_grows_and_is_whole(cache: ContentCache, tmp_path: Path) -> None:
    data = os.urandom(100)
    one = ref(data)
    cache.append(one, 0, memoryview(data[:60]))
    assert cache.length(one) == 60 and not cache.has(one)
    cache.append(one, 50, memoryview(data[50:]))
    assert cache.finish(one) and cache.has(one) and cache.length(one) == 0
    descriptor = cache.open(one)
    assert os.read(descriptor, 200) == data
    os.close(descriptor)
    assert (tmp_path / "contents").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "contents" / one.digest).stat().st_mode & 0o777 == 0o600


def test_another_content_is_thrown_away(cache: ContentCache) -> None:
    one = ref(b"right")
    cache.append(one, 0, memoryview(b"wrong"))
    assert not cache.finish(one)
    assert cache.length(one) == 0 and not cache.has(one)
    assert put(cache, b"right") == one


def test_an_empty_one(cache: ContentCache) -> None:
    assert cache.finish(ref(b"")) and cache.has(ref(b""))


def test_what_was_used_longest_ago_goes(cache: ContentCache, tmp_path: Path) -> None:
    refs = [put(cache, bytes([n]) * 400) for n in range(4)]
    for at, one in enumerate(refs):
        os.utime(tmp_path / "contents" / one.digest, (at, at))
    os.close(cache.open(refs[0]))
    assert cache.trim(only(refs[1])) == 800
    assert [cache.has(one) for one in refs] == [True, True, False, False]
    assert cache.trim(nothing) == 0


def test_what_is_needed_meanwhile_stays(cache: ContentCache, tmp_path: Path) -> None:
    refs = [put(cache, bytes([n]) * 600) for n in range(3)]
    for at, one in enumerate(refs):
        os.utime(tmp_path / "contents" / one.digest, (at, at))
    asked: list[str] = []

    def needed(digest: str) -> bool:
        # While the first one is looked at, an attempt comes that needs the second one.
        asked.append(digest)
        return bool(asked[:-1]) and digest == refs[1].digest

    assert cache.trim(needed) == 1200
    assert asked == [one.digest for one in refs]
    assert [cache.has(one) for one in refs] == [False, True, False]


def test_without_room_it_says_so(cache: ContentCache, tmp_path: Path) -> None:
    old = put(cache, b"old")
    cache.reserve = 1 << 60
    lack = cache.lacking(ref(b"new"), only(old))
    assert "no room for a file of the job" in lack and "min_free_disk" in lack
    assert cache.has(old)
    cache.lacking(ref(b"new"), nothing)
    assert not cache.has(old), "room is made of what no job needs"
    cache.reserve = 0
    assert cache.lacking(ref(b"new"), nothing) == ""


def test_a_link_in_its_place_is_not_followed(cache: ContentCache, tmp_path: Path) -> None:
    one = ref(b"data")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "contents" / f"{one.digest}.part").symlink_to(victim)
    with pytest.raises(OSError):
        cache.append(one, 0, memoryview(b"data"))
    assert victim.read_text() == "mine"
