"""Layouts of the Windows SDK on 64-bit Windows."""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import ctypes

from remote_agent.processes.windows import service_api as scm


def test_structures_have_the_sizes_of_the_sdk() -> None:
    sizes = {
        scm.Status: 28,
        scm.ProcessStatus: 36,
        scm.Config: 64,
        scm.Action: 8,
        scm.FailureActions: 40,
        scm.Text: 8,
        scm.Number: 4,
        scm.TableEntry: 16,
    }
    assert {kind: ctypes.sizeof(kind) for kind in sizes} == sizes
