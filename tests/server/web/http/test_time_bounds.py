"""Moments in queries."""

from __future__ import annotations

import pytest

from remote_server.web.http.time_bounds import parse_time_bound


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10m", 99_400.0),
        ("90", 99_910.0),
        ("0s", 100_000.0),
        ("52w", 0.0),
        ("1970-01-02T00:00:00Z", 86_400.0),
        ("1970-01-02T01:00:00+01:00", 86_400.0),
        ("1970-01-02T01:00:00 01:00", 86_400.0),
        ("1970-01-02T00:00:00.5Z", 86_400.5),
        ("0001-01-01T00:00:00+23:59", 0.0),
        ("9999-12-31T23:59:59-23:59", 1e11),
    ],
)
def test_moments(text: str, seconds: float) -> None:
    assert parse_time_bound(text, 100_000.0) == seconds


@pytest.mark.parametrize("text", ["", "now", "1970-01-01", "1970-01-02T00:00:00", "1e9Z", "\0"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither a duration"):
        parse_time_bound(text, 0.0)
