"""SQLite beside PostgreSQL: what is compared, and a run of very few jobs."""

from __future__ import annotations

import argparse

from benchmarks.checkout import POSTGRESQL
from benchmarks.databases import BEFORE, SQLITE, tables, whole, with_all


def test_the_sum_is_that_of_all_processes() -> None:
    burst = {"jobs a second": 9.0, "CPU a job, server, ms": 1.0, "CPU a job, PostgreSQL, ms": 2.0}
    assert with_all([burst]) == [burst | {"CPU a job, all, ms": 3.0}]


def test_each_database_beside_its_former_self() -> None:
    def rounds(server: float, own: float | None = None) -> list[dict[str, float]]:
        more = {} if own is None else {"CPU a job, PostgreSQL, ms": own}
        return [{"CPU a job, server, ms": server, **more}]

    found = {
        SQLITE: rounds(1.0), POSTGRESQL: rounds(2.0, 1.0),
        SQLITE + BEFORE: rounds(2.0), POSTGRESQL + BEFORE: rounds(3.0, 2.0),
    }  # fmt: skip
    lines = list(tables(found))
    ratios = [line.split(" | ")[3] for line in lines if line.startswith("| CPU") and "(" in line]
    assert [one.split()[0] for one in ratios] == [
        "2.000", "3.000", "0.500", "0.500", "0.667", "0.500", "0.600",
    ]  # fmt: skip
    assert "| CPU a job, PostgreSQL, ms | | 1 | |" in lines


def test_a_short_run() -> None:
    found = whole(argparse.Namespace(before=None, rounds=1, whole=10, latency=1))
    (lite,), (postgresql,) = found[SQLITE], found[POSTGRESQL]
    assert postgresql.keys() - lite.keys() == {"CPU a job, PostgreSQL, ms"}
    assert all(figure > 0 for figure in postgresql.values()), postgresql
    assert "| CPU a job, PostgreSQL, ms |" in "\n".join(tables(found))
