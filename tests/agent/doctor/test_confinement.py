"""What doctor says of control groups, users of jobs, and memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_agent.doctor.confinement import control_groups, memory, own_group, separation
from remote_agent.processes import cgroup
from remote_agent.sections import JobsPart
from remote_protocol.report import Status


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """A folder with the files of a control group."""
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    (tmp_path / "cgroup.subtree_control").write_text("")
    return tmp_path


def test_a_configured_group_that_cannot_be_used(tmp_path: Path) -> None:
    found = control_groups(str(tmp_path / "nowhere"), None)
    assert (found.status, found.code) == (Status.FAIL, "cgroup_unusable")
    assert "nowhere" in found.why and "[limits] cgroup" in found.cure


def test_a_configured_group(group: Path) -> None:
    found = control_groups(str(group), None)
    assert found.status is Status.PASS and "cpu, memory" in found.finding


def test_without_groups_it_says_what_is_done_instead(
    group: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "delegated", lambda folder: False)
    for wanted, own, code in (
        ("off", str(group), "cgroups_switched_off"),
        ("auto", None, "no_cgroups"),
        ("auto", str(group), "not_delegated"),
    ):
        found = control_groups(wanted, own)
        assert (found.status, found.code) == (Status.SKIP, code)
        assert "watched" in found.why
    monkeypatch.setattr(cgroup, "delegated", lambda folder: True)
    assert control_groups("auto", str(group)).status is Status.PASS


def test_the_own_group_is_that_of_a_process() -> None:
    assert own_group("no-process") is None
    folder = own_group("self")
    assert folder is None or not folder.endswith("/agent")


def test_users_of_jobs() -> None:
    assert separation(JobsPart()).code == "not_separate"
    found = separation(JobsPart(run_as="nobody-of-this-name"))
    assert (found.status, found.code) == (Status.FAIL, "users_unusable")
    assert "useradd" in found.why


def test_memory_that_ran_out(group: Path) -> None:
    assert memory(None).code == memory(str(group)).code == "no_memory_events"
    events = group / "memory.events"
    events.write_text("low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\n")
    found = memory(str(group))
    assert (found.status, found.code) == (Status.FAIL, "oom_kills")
    assert "137" in found.why and "2 times" in found.finding
    # The kills happened in the groups of jobs, for their own limits.
    (group / "memory.events.local").write_text("oom 0\noom_kill 0\n")
    assert memory(str(group)).status is Status.PASS
    (group / "memory.events.local").write_text("oom 3\noom_kill 0\n")
    assert "3 times" in memory(str(group)).finding
