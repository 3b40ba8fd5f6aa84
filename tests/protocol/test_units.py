"""Durations and sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_protocol.units import (
    at_least,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
    plain_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("10m", 600),
        ("1h30m", 5400),
        ("250ms", 0.25),
        ("1.5h", 5400),
        ("2d", 172800),
        ("1w", 604800),
        (" 5S ", 5),
        ("45", 45),
        ("0", 0),
        (12, 12),
        (0.5, 0.5),
    ],
)
def test_durations(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        *("", "s", "5 m", "5x", "-5s", "1h30", "five", None, True, -1, float("nan"), float("inf")),
        *(10**400, -(10**400), "9" * 400 + "s", "1h" * 10_000_000, "367d", 1e400),
    ],
)
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512MiB", 512 * 1024**2),
        ("10MB", 10_000_000),
        ("1GiB", 1024**3),
        ("1 kb", 1000),
        ("1.5kib", 1536),
        ("2TB", 2 * 1000**4),
        ("1G", 1024**3),
        ("50M", 50 * 1024**2),
        ("512K", 512 * 1024),
        ("1.5t", 3 * 1024**4 // 2),
        ("64Mi", 64 * 1024**2),
        ("17", 17),
        ("17B", 17),
        (0, 0),
        (4096.0, 4096),
    ],
)
def test_sizes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        *("", "MB", "1 XB", "-1", "1,5MB", "1e400", "1P", None, False, -1, 0.5),
        *(float("nan"), float("inf"), 10**400, "9" * 400, "9" * 10_000_000, "1025T", -(10**400)),
    ],
)
def test_what_is_no_size(text: object) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.25, "250ms"),
        (4.2, "4.2s"),
        (59, "59s"),
        (60, "1m"),
        (90, "1m30s"),
        (5400, "1h30m"),
        (90061, "1d1h"),
    ],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (10**9, "953.7 MiB"),
        (5 * 1024**4, "5.0 TiB"),
    ],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(60, 86400 * 300))
def test_a_formatted_duration_is_one(seconds: int) -> None:
    # Two units are shown: what is left out is less than one of the smaller.
    shown = parse_duration(format_duration(seconds))
    assert 0 <= seconds - shown < 3600
    assert shown > seconds * 0.95


def test_bounds_are_said_in_units() -> None:
    with pytest.raises(ValueError, match=r"^a size is at most 1024 TiB$"):
        parse_size("2000TiB")
    with pytest.raises(ValueError, match=r"^a duration is at most 366d$"):
        parse_duration("400d")
    with pytest.raises(ValueError, match=r"^give at least 1 MiB$"):
        at_least(1024**2)("1KiB")
    assert at_least(1024**2)("1M") == 1024**2
    assert (plain_size(128 * 1024), plain_size(1536)) == ("128 KiB", "1.5 KiB")
