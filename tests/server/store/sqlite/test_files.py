"""Copies of a live database, and what a check finds."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from remote_server.store import Store
from remote_server.store.sqlite.files import faults
from remote_server.store.sqlite.opening import prepare
from tests.support.stored import NOW, running, submitted


async def test_a_backup_of_a_busy_database_is_whole(store: Store, tmp_path: Path) -> None:
    await submitted(store)
    done = asyncio.Event()

    async def keep_writing() -> int:
        count = 0
        while not done.is_set():
            await running(store)
            count += 1
        return count

    writer = asyncio.create_task(keep_writing())
    size = await store.backup(tmp_path / "copy.db")
    done.set()
    assert await writer > 0
    assert size == (tmp_path / "copy.db").stat().st_size > 0
    assert not (tmp_path / "copy.db.partial").exists()
    copy = await Store.open(str(tmp_path / "copy.db"))
    assert await copy.check() == []
    assert len((await copy.jobs())[0]) >= 1
    await copy.close()


async def test_a_failed_backup_leaves_nothing(store: Store, tmp_path: Path) -> None:
    from remote_server.errors import ServerError

    with pytest.raises(ServerError, match=r"the backup to .* failed"):
        await store.backup(tmp_path / "missing" / "copy.db")
    assert not (tmp_path / "missing").exists()


async def test_a_check_names_contradictions(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store = await Store.open(str(path))
    key = await running(store, now=NOW)
    await store.close()
    assert faults(path) == []
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE attempts SET state = 'ended'")
        database.execute("DELETE FROM job_specs")
        database.execute("INSERT INTO job_specs VALUES ('nobody', '{}', NULL, NULL)")
        database.commit()
    said = faults(path)
    assert f"job {key.job} and its attempts contradict each other" in said
    assert any("points to nothing in jobs" in fault for fault in said)


def test_a_damaged_file_is_said_to_be_so(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    prepare(path)
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 6] = b"\xff" * (4096 * 3)
    path.write_bytes(content)
    assert faults(path)
    path.write_bytes(b"x" * 8192)
    assert "cannot be read" in faults(path)[0]
