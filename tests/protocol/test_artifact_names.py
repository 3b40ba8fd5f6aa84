"""Names of artifacts lead nowhere but below their folder, on every system."""

from __future__ import annotations

import pytest

from remote_protocol.artifact_names import name_fault


@pytest.mark.parametrize("name", ["a", "a b/ü.txt", "..a", "a..", "a/b/c", ".hidden", "x" * 255])
def test_names(name: str) -> None:
    assert name_fault(name) == ""


@pytest.mark.parametrize(
    "name",
    [
        *("", "/", "/etc/passwd", "a/", "a//b", ".", "..", "a/../b", "../a", "./a", "a/."),
        *("a\\b", "..\\a", "a\nb", "a\0b", "\x1b[2J", "\u202etxt", "x" * 256, "ü" * 128),
        *("/".join("a" * 17), "/".join(["x" * 200] * 6)),
    ],
)
def test_what_is_none(name: str) -> None:
    assert name_fault(name).startswith("it ")
