"""Prepared environments: those that no job uses go, the longest unused first."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from pathlib import Path

import pytest

from remote_agent.journal.environments import EnvironmentCache
from remote_agent.processes import Account

SIZE = 1 << 20


@pytest.fixture
def cache(tmp_path: Path) -> EnvironmentCache:
    return EnvironmentCache(tmp_path)


def make(state: Path, name: str, age: float | None, user: str = "0") -> Path:
    """One of a mebibyte, used so many seconds ago; None: broken off."""
    place = state / "environments" / user / name
    (place / "lib").mkdir(parents=True)
    (place / "lib" / "module").write_bytes(os.urandom(SIZE))
    place.with_name(f"{name}.lock").touch()
    if age is not None:
        (place / "complete").write_text('{"size": 1}')
        moment = time.time() - age
        os.utime(place / "complete", (moment, moment))
    return place


def test_without_any_nothing_is_made(cache: EnvironmentCache, tmp_path: Path) -> None:
    assert cache.trim(0) == 0 and list(tmp_path.iterdir()) == []


def test_the_longest_unused_go_until_the_rest_fits(cache: EnvironmentCache, tmp_path: Path) -> None:
    old, older, new = (make(tmp_path, n, age) for n, age in (("a", 200), ("b", 300), ("c", 100)))
    assert cache.trim(10 * SIZE) == 0
    assert cache.trim(int(2.5 * SIZE)) == 1
    assert not older.exists() and not older.with_name("b.lock").exists()
    assert old.exists() and new.exists()
    assert cache.trim(0) == 2
    assert list((tmp_path / "environments" / "0").iterdir()) == []
    assert list((tmp_path / "environments" / ".trash").iterdir()) == []


def test_what_is_used_or_was_a_moment_ago_stays(cache: EnvironmentCache, tmp_path: Path) -> None:
    used, fresh = make(tmp_path, "a", 999), make(tmp_path, "b", 5)
    with used.with_name("a.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert cache.trim(0) == 0
    assert cache.trim(0) == 1
    assert fresh.exists() and not used.exists()


def test_what_was_broken_off_goes_unless_somebody_prepares_it(
    cache: EnvironmentCache, tmp_path: Path
) -> None:
    place = make(tmp_path, "a", None)
    with place.with_name("a.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert cache.trim(10 * SIZE) == 0 and place.exists()
    assert cache.trim(10 * SIZE) == 1 and not place.exists()


def test_what_a_user_has_put_there_deletes_nothing_else(
    cache: EnvironmentCache, tmp_path: Path
) -> None:
    outside = make(tmp_path / "outside", "x", 999)
    folder = tmp_path / "environments" / "0"
    folder.mkdir(parents=True)
    (folder / "link").symlink_to(outside)
    (folder / "link.lock").touch()
    place = make(tmp_path, "a", 999)
    place.with_name("a.lock").unlink()
    place.with_name("a.lock").symlink_to(outside / "complete")
    (place / "lib" / "out").symlink_to(outside)
    fifo = make(tmp_path, "b", 999)
    fifo.with_name("b.lock").unlink()
    os.mkfifo(fifo.with_name("b.lock"))
    assert cache.trim(0) == 0
    place.with_name("a.lock").unlink()
    assert cache.trim(0) == 1
    assert (outside / "complete").exists() and (outside / "lib" / "module").exists()


def test_another_user_gets_a_folder_that_only_he_enters(
    cache: EnvironmentCache, tmp_path: Path
) -> None:
    uid, gid = os.geteuid(), os.getegid()
    for _ in range(2):
        cache.prepare(Account("me", uid, gid, (gid,), "", "/bin/sh"))
        root = tmp_path / "environments"
        assert stat.S_IMODE(root.stat().st_mode) == 0o711
        assert stat.S_IMODE((root / str(uid)).stat().st_mode) == 0o700
