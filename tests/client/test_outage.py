"""What is said of a server that is away."""

from __future__ import annotations

import time

import pytest

from remote_client.outage import Outage


def test_a_short_break_is_not_told() -> None:
    said: list[str] = []
    outage = Outage(said.append)
    outage.goes_on(0, "no answer")
    outage.over()
    assert said == []


def test_a_longer_one_is_told_once_and_so_is_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    said: list[str] = []
    outage = Outage(said.append)
    for _ in range(2):
        for failures in range(4):
            outage.goes_on(failures, "no answer from h.")
        now += 42.0
        outage.over()
        outage.over()
    away = "no answer from h. Trying again; jobs go on meanwhile."
    assert said == [away, "reached the server again after 42s"] * 2
