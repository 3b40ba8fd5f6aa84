"""Two checkouts beside each other: whose turn it is, and what the table says."""

from __future__ import annotations

from pathlib import Path

from benchmarks.pair import compared, files, higher_is_better, quartiles, turns


def test_every_other_round_goes_backwards() -> None:
    assert list(turns(["a", "b"], 3)) == [
        (0, "a"), (0, "b"), (1, "b"), (1, "a"), (2, "a"), (2, "b"),
    ]  # fmt: skip


def test_ratios_are_those_of_each_round() -> None:
    # The machine is twice as slow in the second round: the ratio does not notice.
    before = [{"CPU a job, ms": 1.0}, {"CPU a job, ms": 2.0}, {"CPU a job, ms": 1.0}]
    now = [{"CPU a job, ms": 0.9}, {"CPU a job, ms": 1.8}, {"CPU a job, ms": 1.0}]
    (row,) = compared(before, now)
    assert row == ("CPU a job, ms", "1 (1)", "1 (0.9)", "0.900 (0.90–0.95)")


def test_the_best_rate_is_the_highest() -> None:
    (row,) = compared([{"jobs a second": 10.0}], [{"jobs a second": 11.0}])
    assert row[3] == "1.100 (1.10–1.10)"
    (row,) = compared([{"jobs a second": n} for n in (10.0, 20.0)], [{"jobs a second": 5.0}] * 2)
    assert row[1] == "15 (20)"
    assert not higher_is_better("CPU of POST /jobs, µs")


def test_the_middle_half() -> None:
    assert quartiles([3.0]) == (3.0, 3.0)
    assert quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 4.0)


def test_what_jobs_print(tmp_path: Path) -> None:
    made = files(tmp_path, 2)
    lines = made["80-byte lines"].read_bytes()
    assert {len(line) for line in lines.splitlines()} == {79}
    assert len(lines) == len(made["random bytes"].read_bytes()) == 2_000_000
