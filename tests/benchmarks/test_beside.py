"""The ratios of rounds, and Celery's processes: figures of a run that were made up."""

from __future__ import annotations

import os

from benchmarks.beside import limits, ratios, shown
from benchmarks.peers.celery_redis import cpu


def test_a_ratio_is_that_of_the_same_round() -> None:
    theirs = [{"rate": 100.0}, {"rate": 200.0}, {"rate": 400.0}]
    mine = [{"rate": 130.0}, {"rate": 300.0}, {"rate": 400.0}]
    assert ratios(mine, theirs, "rate") == "1.30 (1.00–1.50)"
    assert shown(mine, "rate") == "300"


def test_the_limits_are_measured() -> None:
    assert all(value > 0 for value in limits().values())


def test_the_cpu_of_a_process_is_known() -> None:
    used = sum(os.times()[:4])
    assert cpu(os.getpid()) >= used - 0.1
