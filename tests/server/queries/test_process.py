"""What the server's own process takes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil

from remote_protocol.metrics import Family
from remote_server.queries.process import process_families


def value(family: Family) -> float:
    (sample,) = family.samples
    assert isinstance(sample.value, int | float)
    return sample.value


def test_it_is_what_the_system_says() -> None:
    found = {family.name: value(family) for family in process_families()}
    me = psutil.Process()
    assert 0 < found["process_cpu_seconds_total"] <= time.process_time() + 0.001  # rounded
    assert found["process_start_time_seconds"] <= time.time()
    memory = me.memory_info().rss
    assert memory / 2 < found["process_resident_memory_bytes"] < memory * 2
    assert found["process_open_fds"] >= 3


def test_without_proc_the_rest_is_known(tmp_path: Path) -> None:
    names = [family.name for family in process_families(tmp_path)]
    assert names == ["process_start_time_seconds", "process_cpu_seconds_total"]
    (tmp_path / "statm").write_text("odd\n")
    os.mkdir(tmp_path / "fd")
    assert len(list(process_families(tmp_path))) == 2
