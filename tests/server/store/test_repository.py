"""What the repositories share."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from remote_protocol.ids import ulid_milliseconds
from remote_server.errors import UnknownAgent, UnknownQueue
from remote_server.store import Store
from remote_server.store.ports import Reader
from remote_server.store.repository import Ulids, is_state, unplaceable
from remote_server.store.schema import jobs
from tests.support.stored import spec


@given(st.lists(st.floats(0, 2e9), min_size=1, max_size=50))
def test_ulids_only_grow_whatever_the_clock_does(times: list[float]) -> None:
    ulids = Ulids(lambda count: b"\xff" * count)
    made = [ulids.make(now) for now in times]
    assert made == sorted(set(made))


def test_a_ulid_says_when_it_was_made() -> None:
    assert ulid_milliseconds(Ulids(lambda count: b"\x00" * count).make(1_800_000_000.5)) == (
        1_800_000_000_500
    )


def test_states_are_written_out_for_partial_indexes() -> None:
    one = str(is_state(jobs.c.state, "queued").compile(dialect=sqlite.dialect()))
    two = str(is_state(jobs.c.state, "queued", "running").compile(dialect=sqlite.dialect()))
    assert one == "jobs.state = 'queued'"
    assert two == "jobs.state IN ('queued', 'running')"


async def test_names_are_read_once_however_many_jobs_are_refused(store: Store) -> None:
    read: list[object] = []

    class Counting:
        """A reader that notes which lists it reads."""

        def __init__(self, reader: Reader) -> None:
            self.one = reader.one
            self._reader = reader

        def all(self, statement: Any) -> Any:
            read.append(statement)
            return self._reader.all(statement)

    wanted = [spec(agent=f"no-{n}") for n in range(300)]
    wanted += [spec(queue=f"no-{n}") for n in range(300)]
    wanted.append(spec(queue="default"))
    found = await store._database.read(
        lambda reader: unplaceable(cast(Reader, Counting(reader)), wanted)
    )
    assert [type(found[n]) for n in range(600)] == [UnknownAgent] * 300 + [UnknownQueue] * 300
    assert len(found) == 600 and len(read) == 2
