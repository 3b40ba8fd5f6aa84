"""The shares of a dispatch's steps: figures of a run that were made up."""

from __future__ import annotations

from benchmarks.stamped import Stamp
from benchmarks.steps import STEPS, add, rows


def test_each_step_is_what_passed_since_the_one_before() -> None:
    # The first step takes 10 ms, each further one 1 ms.
    job = {"sent": 0.0}
    for number, (name, _) in enumerate(STEPS):
        job[name] = 0.010 + number * 0.001
    table = rows([job, job])
    assert table[0] == f"| {STEPS[0][1]} | 10.00 | 10.00 | 50 % | 10.00 |"
    assert table[1] == f"| {STEPS[1][1]} | 1.00 | 1.00 | 5 % | 11.00 |"
    assert table[-1] == "| all | 20.00 | 20.00 | 100 % | |"
    assert len(table) == len(STEPS) + 1


def test_a_message_counts_once_where_it_is_written_and_where_it_is_read() -> None:
    jobs: dict[str, dict[str, float]] = {"j": {}}
    server = [Stamp(1.0, "out", "offer", "j"), Stamp(3.0, "in", "accept", "j")]
    agent = [Stamp(2.0, "in", "offer", "j"), Stamp(2.5, "out", "accept", "j")]
    again = [Stamp(9.0, "in", "accept", "j"), Stamp(9.0, "in", "accept", "another")]
    add(jobs, "server", [*server, *again])
    add(jobs, "agent", agent)
    assert jobs == {"j": {"offer out": 1.0, "offer in": 2.0, "accept out": 2.5, "accept in": 3.0}}
