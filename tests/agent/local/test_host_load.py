"""When the host is looked at, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_agent.local import host_load
from remote_agent.local.host_load import EVERY, HostWatch
from remote_agent.processes.load import Space, Ticks
from remote_protocol.messages import HostLoad


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> list[Ticks | None]:
    """What the host says of its processors, one look after the other."""
    given: list[Ticks | None] = [Ticks(10, 100)]
    monkeypatch.setattr(host_load, "processor_ticks", lambda: given.pop(0))
    monkeypatch.setattr(host_load, "free_memory", lambda: Space(1, 4))
    monkeypatch.setattr(host_load, "free_disk", lambda folder: Space(2, 8))
    monkeypatch.setattr(host_load, "load_average", lambda: 0.256)
    return given


def test_one_look_each_half_a_minute(ticks: list[Ticks | None], tmp_path: Path) -> None:
    now = [0.0]
    watch = HostWatch(tmp_path, lambda: now[0])
    now[0] = EVERY - 1
    assert watch.turn() is None
    ticks.append(Ticks(35, 200))
    now[0] = EVERY
    assert watch.turn() == HostLoad(
        cpu=25.0, memory_free=1, memory_total=4, disk_free=2, disk_total=8, load=0.26
    )
    assert watch.turn() is None
    ticks += [Ticks(35, 200), None, Ticks(36, 300)]
    for wanted in (None, None, None):
        now[0] += EVERY
        found = watch.turn()
        assert found is not None and found.cpu is wanted, "nothing to compare with"


def test_a_host_that_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("processor_ticks", "free_memory", "load_average"):
        monkeypatch.setattr(host_load, name, lambda: None)
    monkeypatch.setattr(host_load, "free_disk", lambda folder: None)
    now = [0.0]
    watch = HostWatch(tmp_path, lambda: now[0])
    now[0] = EVERY
    assert watch.turn() == HostLoad()
