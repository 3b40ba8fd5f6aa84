"""The table of features: its ratios, and a run of very few jobs on real servers and agents."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.checkout import running
from benchmarks.feature_list import FEATURES, prepare
from benchmarks.features import BEFORE, NOW, Found, measure, order, tables, total

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_parts_of_a_burst_and_their_sum() -> None:
    figures = {"jobs a second": 50.0, "CPU a job, server, ms": 1.0, "CPU a job, agent, ms": 0.5}
    assert total(figures) == {"server": 1.0, "agent": 0.5, "all": 1.5, "jobs a second": 50.0}


def test_every_other_turn_goes_backwards() -> None:
    assert list(order(0, [NOW])) == [(NOW, False), (NOW, True)]
    assert list(order(1, [NOW])) == [(NOW, True), (NOW, False)]
    assert list(order(0, [BEFORE, NOW])) == [
        (BEFORE, False), (NOW, False), (BEFORE, True), (NOW, True),
    ]  # fmt: skip


def test_each_feature_is_compared_with_its_own_bursts() -> None:
    first, other = FEATURES[0], next(one for one in FEATURES if one.used)
    found: Found = {}
    for version, factor in ((BEFORE, 2.0), (NOW, 1.0)):
        for feature, dearer in ((first, 1.0), (other, 1.5)):
            # The machine is slower in the second round: the ratios do not notice.
            for on, cost in ((False, 1.0), (True, dearer)):
                rounds = [{"all": cost * factor}, {"all": 3 * cost * factor}]
                found[version, feature.what, on] = rounds
    lines = list(tables(found, [first, other]))
    assert lines[0].endswith("CPU in ms: all 2")
    assert lines.count(f"| {first.what} | 1.00 (1.00–1.00) |") == 1
    assert lines.count(f"| {other.what} | 1.50 (1.50–1.50) |") == 1
    assert lines[-2:] == [f"| {one.what} | 0.50 (0.50–0.50) |" for one in (first, other)]


def test_every_job_of_the_list_succeeds() -> None:
    with running(ROOT) as checkout:
        prepare(checkout)
        checkout.ask("PUT", "secrets/ONE", {"value": "a-value", "all_queues": True})
        jobs = [job for one in FEATURES for job in (one.job, one.without)]
        for job in checkout.ask("POST", "jobs/batch", {"jobs": jobs})["ids"]:
            checkout.ended(job)


def test_a_short_run() -> None:
    """One that a visitor turns on, one that the server's API does, and one with a pair of its own:
    all of them would take a minute."""
    options = argparse.Namespace(rounds=1, jobs=2, before=None, postgresql=False)
    names = {
        "a page of jobs is open",
        "a group with a limit waits",
        "its log is copied into a bucket",
    }
    chosen = [one for one in FEATURES if one.what in names]
    found, loads = measure(options, chosen)
    assert found.keys() == {(NOW, what, on) for what in names for on in (False, True)}
    assert len(loads) == 2 * len(names)
