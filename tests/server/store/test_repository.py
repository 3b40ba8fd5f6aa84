"""What the repositories share."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from remote_protocol.ids import ulid_milliseconds
from remote_server.store.repository import Ulids, is_state
from remote_server.store.schema import jobs


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
