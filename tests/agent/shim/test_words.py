"""Numbers in words."""

from __future__ import annotations

from remote_agent.shim.words import clock_words, duration_words, size_words


def test_sizes() -> None:
    shown = {0: "0 B", 17: "17 B", 1536: "1.5 KiB", 512 << 20: "512 MiB", 3 << 50: "3072 TiB"}
    assert {size: size_words(size) for size in shown} == shown


def test_durations() -> None:
    shown = {0.25: "250ms", 1.5: "1.5s", 2: "2s", 60: "1m", 5400: "1h30m", 90061: "1d1h"}
    assert {seconds: duration_words(seconds) for seconds in shown} == shown


def test_clock() -> None:
    assert [clock_words(s) for s in (0.4, 42, 62, 3723)] == ["0:00", "0:42", "1:02", "1:02:03"]
