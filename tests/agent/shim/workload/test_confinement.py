"""Limits from outside: the watch on memory, what happens before exec, and groups."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from remote_agent.shim.order import Order
from remote_agent.shim.workload.confinement import Confinement
from tests.support.powerless import in_child

ORDER = Order("J.1", ["x"], {}, "/")


def test_without_limits_the_job_is_vforked() -> None:
    assert Confinement(ORDER, guarded=True).before_exec() is None
    assert Confinement(ORDER, guarded=False).before_exec() is not None
    assert Confinement(ORDER._replace(nice=5), guarded=True).before_exec() is not None
    assert Confinement(ORDER._replace(memory_limit=1 << 20), guarded=True).before_exec() is None


def test_nice_and_death_with_the_parent() -> None:
    prepare = Confinement(ORDER._replace(nice=5), guarded=False).before_exec()
    program = "import os; print(os.nice(0), open('/proc/self/stat').read().split()[18])"
    shown = subprocess.run(
        [sys.executable, "-c", program], preexec_fn=prepare, capture_output=True, check=True
    )
    assert shown.stdout.split()[0] == str(min(os.nice(0) + 5, 19)).encode()


def test_the_watch_sees_the_tree_and_its_peak() -> None:
    # In a process of its own: below this one there may be what other tests have started.
    in_child(watch_a_tree)


def watch_a_tree() -> None:
    confine = Confinement(ORDER._replace(memory_limit=40 << 20), guarded=True)
    assert confine.check_at == 0.0 and not confine.exceeded(5.0) and confine.check_at == 5.25
    program = "b = bytearray(60 << 20); print('up', flush=True); input()"
    with subprocess.Popen(
        ["sh", "-c", f"'{sys.executable}' -c \"{program}\"; true"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as hog:
        assert hog.stdout is not None and hog.stdout.readline() == b"up\n"
        assert confine.exceeded(6.0)
        assert 60 << 20 < confine.peak < 120 << 20
        hog.communicate(b"\n")
    assert not confine.exceeded(7.0)
    assert confine.folder is None and confine.oom_kills() == 0 and not confine.kill()
    confine.close()


def test_a_group_that_cannot_be_had_is_said_and_memory_is_watched(tmp_path: Path) -> None:
    order = ORDER._replace(memory_limit=1 << 30, cgroup=str(tmp_path / "absent"))
    confine = Confinement(order, guarded=True)
    assert confine.note.startswith("no cgroup for this attempt") and confine.check_at is not None
    assert Confinement(order._replace(memory_limit=None), guarded=True).note == ""
