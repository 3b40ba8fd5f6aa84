"""prctl(2): what it says of a call, and that nothing is loaded for who never calls it."""

from __future__ import annotations

import subprocess
import sys

_KEEP_CAPABILITIES = "8, 1"
_UNKNOWN = "123456, 0"


def shown(program: str) -> str:
    call = [sys.executable, "-c", "import sys; " + program]
    return subprocess.run(call, check=True, capture_output=True, text=True, timeout=60).stdout


def test_it_says_whether_the_kernel_did_it() -> None:
    program = (
        "from remote_agent.processes.prctl import prctl; "
        f"print(prctl({_KEEP_CAPABILITIES}), prctl({_UNKNOWN}))"
    )
    assert shown(program) == "True False\n"


def test_ctypes_comes_with_the_first_call() -> None:
    program = (
        "from remote_agent import processes; before = 'ctypes' in sys.modules; "
        "processes.become_subreaper(); print(before, 'ctypes' in sys.modules)"
    )
    assert shown(program) == "False True\n"
