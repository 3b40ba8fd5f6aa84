"""`remote_server.hub.allocator` in a process of its own: what it changes stays changed."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_GROWTH = """
import resource, sys
if sys.argv[1] == "yes":
    from remote_server.hub.allocator import keep_freed_memory
    assert keep_freed_memory()
[bytearray(262144) for _ in range(20)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(300):
    [bytearray(262144) for _ in range(20)]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(kept: str) -> int:
    """Page faults of a process that makes and frees frames."""
    command = [sys.executable, "-c", _GROWTH, kept]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_freed_frames_are_used_again() -> None:
    assert page_faults("yes") < page_faults("no") / 10
