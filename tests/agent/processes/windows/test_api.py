"""Errors of Windows look as Python's own, and structures have the sizes of the SDK."""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import ctypes

import pytest

from remote_agent.processes.windows import api


def test_failures_are_those_of_python() -> None:
    assert isinstance(api.failure(2, "x"), FileNotFoundError)
    assert isinstance(api.failure(5, "x"), PermissionError)
    assert isinstance(api.failure(80, "x"), FileExistsError)
    assert api.check(7) == 7
    ctypes.set_last_error(5)
    with pytest.raises(PermissionError):
        api.check(0, "x")


def test_sizes_on_64_bits() -> None:
    sizes = {
        api.BasicLimits: 64,
        api.ExtendedLimits: 144,
        api.Accounting: 48,
        api.MemoryCounters: 72,
        api.TimeOfDay: 48,
        api.StandardInfo: 24,
    }
    assert {kind: ctypes.sizeof(kind) for kind in sizes} == sizes
