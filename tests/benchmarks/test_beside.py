"""The ratios of rounds, and Celery's processes: figures of a run that were made up."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.beside import limits, ratios, shown
from benchmarks.peers.celery_redis import below, cpu, pin


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


def test_a_process_and_all_below_it_are_on_one_processor() -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as parent:
        while len(family := below(parent.pid)) < 2:
            pass
        processor = min(os.sched_getaffinity(0))
        pin(processor, parent.pid)
        assert [os.sched_getaffinity(pid) for pid in family] == [{processor}] * 2
        parent.communicate(b"\n")
