"""A server that crashes leaves none of its memory on the disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CRASH = "import os, resource, signal\n{0}os.kill(os.getpid(), signal.SIGSEGV)"
RAISE = "most = resource.getrlimit(resource.RLIMIT_CORE)[1]\n"
RAISE += "resource.setrlimit(resource.RLIMIT_CORE, (most, most))\n"
FORBID = "from remote_server.core_dumps import forbid_core_dumps\nforbid_core_dumps()\n"
LIMITS = "print(resource.getrlimit(resource.RLIMIT_CORE), flush=True)\n"


def dumped(folder: Path, code: str) -> tuple[bool, str]:
    """Whether a Python that runs this and crashes then is written down; what it said."""
    with subprocess.Popen(
        [sys.executable, "-c", CRASH.format(code)], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status = os.waitpid(process.pid, 0)
        process.returncode = -os.WTERMSIG(status)
    return os.WCOREDUMP(status), said.strip()


def test_a_crash_is_not_written_down(tmp_path: Path) -> None:
    assert dumped(tmp_path, RAISE + FORBID + LIMITS) == (False, "(1, 1)")
    assert list(tmp_path.iterdir()) == []


def test_a_limit_of_nothing_stays(tmp_path: Path) -> None:
    none = "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
    assert dumped(tmp_path, none + FORBID + LIMITS) == (False, "(0, 0)")
