"""A filled database is one that the server takes; statements that look at all rows are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.filled import fill
from benchmarks.pages import ask_all, scans
from remote_protocol.states import JobState
from remote_server.store import Store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("filled")
    fill(found / "server" / "server.db", 1500, 10)
    return found


async def test_a_filled_database_holds_and_is_as_after_months(folder: Path) -> None:
    store = await Store.open(str(folder / "server" / "server.db"))
    counts = await store.counts()
    assert sum(counts.values()) == 1500
    by_state: dict[JobState, int] = {}
    for (_, state), count in counts.items():
        by_state[state] = by_state.get(state, 0) + count
    assert by_state[JobState.QUEUED] == 300
    assert by_state[JobState.SUCCEEDED] == 1116
    assert by_state[JobState.FAILED] == 60
    assert await store.check() == []
    await store.close()


async def test_pages_look_at_no_table_as_a_whole(folder: Path) -> None:
    asked = await ask_all(folder, ["/", "/jobs", "/jobs?state=failed", "/queues/default"])
    assert len(asked) > 10
    assert scans(folder / "server" / "server.db", asked) == []


def test_a_look_at_a_whole_table_is_found(folder: Path) -> None:
    database = folder / "server" / "server.db"
    all_rows = "SELECT count(*) FROM jobs WHERE exit_code = ?"
    (found,) = scans(database, {all_rows: (3,)})
    assert found.startswith("SCAN jobs")
    in_order = "SELECT id FROM jobs ORDER BY id DESC LIMIT 5"
    one = "SELECT id FROM jobs WHERE id = ?"
    assert scans(database, {in_order: (), one: ("x",)}) == []
