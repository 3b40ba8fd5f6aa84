"""`ps` in place of /proc, and what only Linux can: run here on Linux, which has `ps` too."""

from __future__ import annotations

import subprocess

from remote_agent.processes import bsd
from tests.support.shim_harness import eventually, running


def test_ps_in_place_of_proc() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60; true"], start_new_session=True) as process:
        started = bsd.start_time(process.pid)
        assert started and bsd.alive(process.pid, started)
        assert not bsd.alive(process.pid, "Thu Jan  1 00:00:00 1970")
        eventually(lambda: bsd.tree_memory(process.pid) > 100_000)
        bsd.kill_tree(process.pid)
        eventually(lambda: not running(process.pid))
        assert not bsd.alive(process.pid, started)
    assert bsd.start_time(process.pid) is None
    assert not bsd.become_subreaper()
    assert bsd.sweep(process.pid).survivors == 0
    assert bsd.kill_marked({}, 0) == 0
    eventually(lambda: bsd.kill_marked({}, process.pid) == 0)


def test_what_only_linux_can_does_nothing_here() -> None:
    bsd.prefer_as_oom_victim(1)
    bsd.start_oom_victims(True)
    bsd.protect_from_oom()
    bsd.die_with_parent(1)
    assert bsd.kill_orphans(frozenset(), "KEEP") == 0
