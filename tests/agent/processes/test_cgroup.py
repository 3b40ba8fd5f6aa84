"""Control groups: what the kernel's files say, and the real thing where there is one to be had."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_agent.processes import cgroup
from remote_agent.processes.cgroup import Group, Limits, own_group, parse_flat
from tests.support.shim_harness import eventually, running

UNIFIED = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = (
    "30 29 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "40 29 0:37 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
)


def test_own_group() -> None:
    assert own_group("0::/system.slice/a.service\n", UNIFIED) == (
        "/sys/fs/cgroup/system.slice/a.service"
    )
    assert own_group("0::/\n", UNIFIED) == "/sys/fs/cgroup"
    assert own_group("4:memory:/x\n0::/y\n", HYBRID) == "/sys/fs/cgroup/unified/y"
    assert own_group("4:memory:/x\n", UNIFIED) is None
    assert own_group("0::/y\n", "1 2 0:1 / /proc rw - proc proc rw\n") is None
    inside = "29 23 0:26 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
    assert own_group("0::/docker/1/sub\n", inside) == "/sys/fs/cgroup/sub"


def test_flat_files() -> None:
    assert parse_flat("low 0\noom 2\noom_kill 1\noom_group_kill 1\n")["oom_kill"] == 1
    assert parse_flat("") == {}


class Files:
    """A folder with the files of a group, as the kernel would show them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in {"cgroup.controllers": "cpu io memory pids", "cgroup.procs": ""}.items():
            (folder / name).write_text(text)
        (folder / "cgroup.subtree_control").write_text("")

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()


def test_limits_are_written_and_read(tmp_path: Path) -> None:
    group = Group.create(str(tmp_path), "J.1", Limits(1 << 20, 200, 300))
    folder = tmp_path / "job-J.1"
    assert (folder / "memory.max").read_text() == "1048576"
    assert (folder / "memory.oom.group").read_text() == "1"
    assert (folder / "cpu.weight").read_text() == "200"
    assert (folder / "io.weight").read_text() == "default 300"
    assert (group.oom_kills(), group.peak()) == (0, 0)
    (folder / "memory.events").write_text("oom 1\noom_kill 3\n")
    (folder / "memory.peak").write_text("999\n")
    assert (group.oom_kills(), group.peak()) == (3, 999)
    assert not group.remove(limit=0.02), "plain files keep a plain folder"


def test_a_group_whose_limit_cannot_be_set_is_not_left(tmp_path: Path) -> None:
    base = tmp_path / "absent"
    with pytest.raises(OSError):
        Group.create(str(base), "J.1", Limits(1 << 20))
    assert not list(tmp_path.iterdir())


def test_delegation(tmp_path: Path) -> None:
    assert not cgroup.delegated(str(tmp_path / "absent"))
    if os.geteuid():
        assert cgroup.delegated(str(tmp_path))
    else:
        assert not cgroup.delegated(str(tmp_path)), "root owns every group"


def test_the_group_of_the_service_for_jobs_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    own, jobs = "/sys/fs/cgroup/a.slice/a.service", "/sys/fs/cgroup/a.slice/a-jobs.service"
    delegated: set[str] = set()
    monkeypatch.setattr(cgroup, "delegated", delegated.__contains__)
    assert cgroup.group_for_jobs(own) is None
    delegated.add(own)
    assert cgroup.group_for_jobs(own) == own
    delegated.add(jobs)
    assert cgroup.group_for_jobs(own) == jobs
    assert cgroup.beside("/sys/fs/cgroup/user.slice/session-1.scope") is None
    assert cgroup.group_for_jobs("/sys/fs/cgroup") is None


def test_a_process_is_adopted_by_the_leaf(tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()
    cgroup.adopt(str(tmp_path), 12)
    assert (tmp_path / "agent" / "cgroup.procs").read_text() == "12"
    with pytest.raises(OSError):
        cgroup.adopt(str(tmp_path / "absent"), 12)


def test_prepare_moves_the_agent_into_a_leaf(tmp_path: Path) -> None:
    files = Files(tmp_path)
    (tmp_path / "cgroup.procs").write_text("12\n")
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "cgroup.procs").write_text("")
    cgroup.prepare(str(tmp_path))
    assert (tmp_path / "agent" / "cgroup.procs").read_text() == "12"
    assert files.read("cgroup.subtree_control") == "+pids"


# The kernel's own groups --------------------------------------------------------------------


@pytest.fixture
def base() -> Iterator[Path]:
    """A group below the machine's own, for this test."""
    mine = own_group(
        Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text()
    )
    if mine is None or not os.access(mine, os.W_OK):
        pytest.skip("there is no cgroup v2 here that this account may write")
    folder = Path(mine) / f"test-{os.getpid()}"
    folder.mkdir()
    yield folder
    eventually(lambda: Group(str(folder)).remove())


def test_a_job_is_born_in_its_group_and_dies_with_it(base: Path) -> None:
    group = Group.create(str(base), "J.1", Limits())
    join = group.joiner()
    with subprocess.Popen(
        ["sh", "-c", "setsid sleep 60 & sleep 60"],
        preexec_fn=join,  # noqa: PLW1509 - as shims do, with one thread
    ) as job:
        procs = base / "job-J.1" / "cgroup.procs"
        pids = eventually(lambda: len(p := procs.read_text().split()) == 3 and p)
        assert not group.remove(limit=0.02), "it is in use"
        if group.kill():
            job.wait()
            eventually(lambda: not any(running(int(pid)) for pid in pids))
        else:
            for pid in pids:
                os.kill(int(pid), 9)
    assert group.remove() and group.remove()


def test_a_controller_that_is_not_there_is_no_silent_limit(base: Path) -> None:
    if "memory" in (base / "cgroup.controllers").read_text().split():
        Group.create(str(base), "J.1", Limits(64 << 20)).remove()
        return
    with pytest.raises(OSError):
        Group.create(str(base), "J.1", Limits(64 << 20))
    assert not (base / "job-J.1").exists()


def test_a_process_is_taken_into_a_group(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").touch()
    Group(str(tmp_path)).take(17)
    assert (tmp_path / "cgroup.procs").read_text() == "17"
