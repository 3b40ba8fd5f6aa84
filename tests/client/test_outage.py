"""What is said of a server that is away."""

from __future__ import annotations

from remote_client.outage import Outage


def test_a_short_break_is_not_told() -> None:
    said: list[str] = []
    outage = Outage(said.append)
    outage.goes_on(0, "no answer")
    outage.over()
    assert said == []


def test_a_longer_one_is_told_once_and_so_is_its_end() -> None:
    said: list[str] = []
    outage = Outage(said.append)
    for _ in range(2):
        for failures in range(4):
            outage.goes_on(failures, "no answer from h.")
        outage.over()
        outage.over()
    away, back = said[:2]
    assert away == "no answer from h. Trying again; jobs go on meanwhile."
    assert back.startswith("reached the server again after ")
    assert said == [away, back] * 2
