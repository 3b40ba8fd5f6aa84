"""Whom Linux kills first when memory runs out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from remote_agent.processes import linux_oom


def test_the_agent_is_spared_when_memory_runs_out() -> None:
    probe = (
        "from remote_agent.processes import linux_oom\n"
        "path = '/proc/self/oom_score_adj'\n"
        "before = int(open(path).read())\n"
        "linux_oom.protect_from_oom()\n"
        "once = int(open(path).read())\n"
        "linux_oom.protect_from_oom()\n"
        "print(before, once, int(open(path).read()))\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)
    before, once, twice = map(int, done.stdout.split())
    effective = re.search(r"CapEff:\s+(\w+)", Path("/proc/self/status").read_text())
    assert effective is not None
    may = int(effective[1], 16) >> 24 & 1  # CAP_SYS_RESOURCE
    assert once == twice == (min(before, -500) if may else before)


def test_oom_score() -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        linux_oom.prefer_as_oom_victim(sleeper.pid)
        assert Path(f"/proc/{sleeper.pid}/oom_score_adj").read_text() == "500\n"
        sleeper.kill()
    linux_oom.prefer_as_oom_victim(2**22 + 1)


@pytest.mark.parametrize(("usual", "high"), [(100, 500), (700, 700)])
def test_what_is_started_meanwhile_is_an_oom_victim(usual: int, high: int) -> None:
    # In a process of its own, whose score is raised here: anybody may do that.
    probe = (
        "import subprocess, sys\n"
        "from remote_agent.processes import linux_oom\n"
        "path = '/proc/self/oom_score_adj'\n"
        "open(path, 'w').write(sys.argv[1])\n"
        "def child(): return subprocess.check_output(['cat', path], text=True).strip()\n"
        "for yes in (True, False, True, False):\n"
        "    linux_oom.start_oom_victims(yes)\n"
        "    print(child())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, str(usual)], check=True, capture_output=True, text=True
    )
    assert [*map(int, done.stdout.split())] == [high, usual, high, usual]
