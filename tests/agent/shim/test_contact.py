"""The file that says when the server was last there: one agent writes it, many shims read it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from remote_agent.processes import boot_id, boottime
from remote_agent.shim.contact import Absence, ContactNote
from tests.support.shim_harness import ShimHarness


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The boot clock as the test sets it."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr("remote_agent.shim.contact.boottime", lambda: clock.now)
    yield clock


def watch(state: Path, limit: float) -> Absence:
    return Absence(str(state / "contact"), limit, boot_id())


def noted(state: Path) -> float:
    return (state / "contact").stat().st_mtime


def test_what_is_noted_is_seen(tmp_path: Path, clock: SimpleNamespace) -> None:
    note = ContactNote(tmp_path / "contact")
    note.note(clock.now - 10)
    why = watch(tmp_path, 9.0).expired(5.0)
    assert why == "stopped: the server was away for 10s"
    long = watch(tmp_path, 60.0)
    assert long.expired(5.0) is None
    clock.now += 55
    note.note(clock.now - 1)
    assert long.expired(60.0) is None, "it is read again"
    clock.now += 60
    assert long.expired(120.0) == "stopped: the server was away for 1m1s"


def test_the_next_look_is_due_when_it_may_be_too_long(
    tmp_path: Path, clock: SimpleNamespace
) -> None:
    ContactNote(tmp_path / "contact").note(clock.now)
    short, long = watch(tmp_path, 3.0), watch(tmp_path, 3600.0)
    assert short.expired(50.0) is long.expired(50.0) is None
    assert short.check_at == 53.0
    # poll(2) does not count the sleep of the host: no trust in one long wait.
    assert long.check_at == 55.0


def test_it_is_noted_seldom(tmp_path: Path) -> None:
    note = ContactNote(tmp_path / "contact")
    for at in (100.0, 100.9, 101.0):
        note.note(at)
    assert noted(tmp_path) == 101.0


def test_a_new_agent_does_not_reset_the_time(tmp_path: Path) -> None:
    ContactNote(tmp_path / "contact").note(100.0)
    before = (tmp_path / "contact").stat()
    again = ContactNote(tmp_path / "contact")
    assert (tmp_path / "contact").stat() == before
    again.note(107.5)
    assert noted(tmp_path) == 107.5
    assert (tmp_path / "contact").stat().st_ino == before.st_ino


@pytest.mark.parametrize("found", [None, "another boot", ""])
def test_the_contact_of_another_boot_is_none(
    tmp_path: Path, clock: SimpleNamespace, found: str | None
) -> None:
    if found is not None:
        (tmp_path / "contact").write_text(found)
        os.utime(tmp_path / "contact", (0, 0))
    assert watch(tmp_path, 3.0).expired(50.0) is None
    ContactNote(tmp_path / "contact").note(clock.now - 4)
    assert watch(tmp_path, 3.0).expired(50.0) is not None


def test_a_shim_ends_its_job_without_any_agent(harness: ShimHarness) -> None:
    """Nobody but the shim is there, and the promise holds."""
    # Noted ahead: with what the shim itself has seen the job would end a second sooner.
    ContactNote(harness.root / "contact").note(boottime() + 1.0)
    began = boottime()
    directory = harness.start(["sleep", "600"], stop_after=1.0)
    record = harness.ended(directory)
    assert boottime() - began > 1.9
    assert (record["exit_code"], record["end_reason"]) == (143, "lost")
    said = r"stopped: the server was away for \d\S*; ended by SIGTERM"
    assert re.fullmatch(said, record["end_detail"]), record["end_detail"]
    assert [step["what"] for step in record["steps"]][:2] == ["spawned", "interrupt"]
