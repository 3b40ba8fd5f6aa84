"""How pages say times and sizes."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from remote_server.web.pages import words


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"),
        (0.0, "0 ms"),
        (-3.0, "0 ms"),
        (0.0048, "4.8 ms"),
        (0.31, "0.31 s"),
        (4.2, "4.2 s"),
        (9.96, "10 s"),
        (59.7, "1 min"),
        (312.0, "5 min 12 s"),
        (3600.0, "1 h"),
        (7860.0, "2 h 11 min"),
        (3605.0, "1 h"),
        (86400.0 * 30, "30 d"),
        (86400.0 * 2 + 3600 * 5 + 61, "2 d 5 h"),
    ],
)
def test_durations(seconds: float | None, said: str) -> None:
    assert words.duration(seconds).replace(words.NARROW, " ") == said


@pytest.mark.parametrize(
    ("count", "decimal", "binary"),
    [
        (None, "–", "–"),
        (0, "0 B", "0 B"),
        (999, "999 B", "999 B"),
        (1000, "1.0 kB", "1000 B"),
        (48_000, "48 kB", "47 KiB"),
        (5_100_000, "5.1 MB", "4.9 MiB"),
        (1 << 30, "1.1 GB", "1.0 GiB"),
        (10**18, "1000 PB", "888 PiB"),
    ],
)
def test_sizes(count: int | None, decimal: str, binary: str) -> None:
    assert words.size(count) == decimal.replace(" ", words.NARROW)
    assert words.memory(count) == binary.replace(" ", words.NARROW)


def test_numbers_and_what_is_counted() -> None:
    assert words.number(48210) == "48,210"
    assert words.many(1, "job") == "1\u00a0job" and words.many(0, "job") == "0\u00a0jobs"
    assert words.many(2, "entry", "entries") == "2\u00a0entries"


def test_moments() -> None:
    at = datetime(2026, 11, 26, 14, 2, 11, 500_000, UTC)
    assert words.iso(at) == "2026-11-26T14:02:11.500Z" == words.iso(at.timestamp())
    assert words.clock(at) == "2026-11-26 14:02:11 UTC"
    assert words.ago(None) == "never"
    assert words.ago(time.time() - 90).replace("\u00a0", " ") == "1 min 30 s ago"
    assert words.age(time.time() - 7200).startswith("2\u00a0h")


def test_what_a_form_takes_back() -> None:
    """Nothing is lost when somebody saves a form that he did not touch."""
    assert words.given_duration(None) == "" == words.given_size(None)
    assert words.given_duration(30 * 86400.0) == "30d"
    assert words.given_duration(86400.0 + 3600 + 61) == "90061s"
    assert words.given_size(1 << 30) == "1 GiB"
    assert words.given_size((1 << 30) + 1) == str((1 << 30) + 1)
    assert words.given_size(1001) == "1001 B"


def test_what_stands_in_backticks_is_code_and_nothing_else_is_markup() -> None:
    assert words.code("give `<a>` & go") == "give <code>&lt;a&gt;</code> &amp; go"
    assert words.code("one ` alone") == "one ` alone"
