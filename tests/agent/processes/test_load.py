"""How busy this very host is, as far as it says."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from remote_agent.processes import load


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_a_linux_host_says_it_all(tmp_path: Path) -> None:
    before = load.processor_ticks()
    ticks = load.processor_ticks()
    assert before is not None and ticks is not None
    assert 0 < before.busy <= ticks.busy < ticks.all
    room, space = load.free_memory(), load.free_disk(str(tmp_path))
    assert room is not None and 0 < room.free <= room.all
    assert space is not None and 0 < space.free <= space.all
    average = load.load_average()
    assert average is not None and average >= 0


def test_what_is_not_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert load.free_disk(str(tmp_path / "nowhere")) is None

    def refuse(*_: object) -> None:
        raise OSError(2, "No such file")

    monkeypatch.setattr("builtins.open", refuse)
    assert load.processor_ticks() is None and load.free_memory() is None
    monkeypatch.setattr(os, "getloadavg", refuse)
    assert load.load_average() is None
