"""The judge of the chaos run must be able to condemn: each lie is found."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from remote_client.client import Client
from remote_protocol import cri
from remote_protocol.api.events import TimelineEntry
from remote_protocol.api.jobs import AttemptView, JobView
from remote_protocol.spec import CommandSpec
from remote_protocol.states import AttemptState, EndReason, JobState
from tests.chaos.actor import DAMAGED
from tests.chaos.checker import (
    SECRET,
    Verdict,
    check_jobs,
    files_left,
    groups_left,
    processes_left,
    unnamed_damage,
)
from tests.chaos.plan import Planned, reading_of
from tests.support.stack import until

NOW = datetime(2026, 11, 21, tzinfo=UTC)
JOB = "01JD0000000000000000000000"
STAMP = b"2026-11-21T03:04:05.123456789Z"


class World:
    """A server's word about one job, to be bent by the tests."""

    def __init__(self, records: Path) -> None:
        self.records = records
        self.ends = 1
        self.shape = "short"
        self.feed = b""
        self.stored = b"".join(cri.encode(b"one\ntwo\n", STAMP, cri.STDOUT))
        self.job_fields: dict[str, Any] = {"state": JobState.SUCCEEDED, "exit_code": 0}
        self.attempt_fields: dict[str, Any] = {}
        (records / f"{JOB}.starts").write_text("1 agent-0 77\n")
        (records / f"{JOB}.1.out").write_bytes(b"one\ntwo\n")

    def job(self, identity: str) -> JobView:
        known = {"number": 1, "state": AttemptState.ENDED, "agent": "agent-0", "offered_at": NOW}
        known |= {"end_reason": EndReason.EXIT, "log_complete": True}
        attempt = AttemptView.model_validate(known | self.attempt_fields)
        fields = {"id": JOB, "command": ["x"], "created_at": NOW, "attempts": [attempt]}
        fields |= {"end_reason": EndReason.EXIT, "attempt": 1}
        return JobView.model_validate(fields | self.job_fields)

    def timeline(self, identity: str) -> list[TimelineEntry]:
        entry = TimelineEntry(seq=1, job=JOB, at=NOW, what="ended", state=JobState.SUCCEEDED)
        return [entry] * self.ends

    def stored_log(self, identity: str, *, attempt: int) -> Iterator[bytes]:
        yield self.stored

    def judge(self) -> Verdict:
        spec = CommandSpec(command=["x"], stdin=self.shape == "reading")
        plan = Planned(self.shape, spec, frozenset({EndReason.EXIT}), None, self.feed)
        return check_jobs(cast(Client, self), {JOB: plan}, self.records, frozenset())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_true_word_is_accepted(world: World) -> None:
    verdict = world.judge()
    assert verdict.wrong == []
    assert (verdict.jobs, verdict.bytes_compared) == (1, 8)


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (lambda w: w.job_fields.update(state=JobState.RUNNING), "has not ended"),
        (lambda w: setattr(w, "ends", 2), "ended 2 times"),
        (lambda w: w.job_fields.update(end_reason=EndReason.TIMEOUT), "ended as timeout"),
        (lambda w: w.job_fields.update(exit_code=3), "with exit code 3"),
        (lambda w: setattr(w, "stored", w.stored[:40]), "first difference"),
        (lambda w: setattr(w, "stored", w.stored * 2), "first difference"),
        (lambda w: w.attempt_fields.update(log_complete=False), "without its whole log"),
        (lambda w: (w.records / f"{JOB}.starts").unlink(), "never started"),
        (lambda w: (w.records / f"{JOB}.starts").write_text("1 a 1\n1 b 2\n"), "started 2 times"),
    ],
)
def test_each_lie_is_found(world: World, lie, words: str) -> None:
    lie(world)
    assert any(words in sentence for sentence in world.judge().wrong)


def test_a_killed_attempts_log_may_only_lack_its_end(world: World) -> None:
    world.attempt_fields.update(end_reason=EndReason.LOST, state=AttemptState.LOST)
    world.stored = b"".join(cri.encode(b"one\n", STAMP, cri.STDOUT))
    assert world.judge().wrong == []
    world.stored = b"".join(cri.encode(b"two\n", STAMP, cri.STDOUT))
    assert any("no prefix" in sentence for sentence in world.judge().wrong)


def test_a_process_that_is_left_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import subprocess

    marker = f"REMOTE_CHAOS_TEST={os.getpid()}"
    name, _, value = marker.partition("=")
    with subprocess.Popen(["sleep", "60"], env={**os.environ, name: value}) as process:
        # While a program begins, the kernel shows no environment of it.
        until(lambda: any(x.startswith(f"{process.pid} ") for x in processes_left(marker)))
        process.kill()
    assert processes_left(marker) == []


def test_groups_of_the_runs_jobs_that_are_left_are_found(tmp_path: Path) -> None:
    (tmp_path / "agent" / f"job-{JOB}.1").mkdir(parents=True)
    (tmp_path / "agent" / "job-01JD0000000000000000000009.1").mkdir()
    assert groups_left([JOB], tmp_path) == [str(tmp_path / "agent" / f"job-{JOB}.1")]


def test_files_that_an_idle_agent_should_not_have_are_found(tmp_path: Path) -> None:
    attempts = tmp_path / "attempts"
    for name in (f"{JOB}.1", f"{JOB}.2", ".broken", ".trash", ".spare.1/work"):
        (attempts / name).mkdir(parents=True)
    (attempts / f"{JOB}.1" / "settled").touch()
    assert files_left(tmp_path) == [f"attempt {JOB}.2 is not settled"]
    (attempts / f"{JOB}.2" / "settled").touch()
    assert files_left(tmp_path) == []
    (attempts / f"{JOB}.1" / "work").mkdir()
    (attempts / ".broken" / "x").mkdir()
    assert files_left(tmp_path) == ["broken attempt x", f"work directory of {JOB}.1"]


def test_a_hostile_job_may_end_in_any_way_but_must_end(world: World) -> None:
    world.shape = "damaging"
    world.stored = b"".join(cri.encode(b"other\n", STAMP, cri.STDOUT))
    world.attempt_fields.update(log_complete=False)
    assert world.judge().wrong == []
    lost = {"end_reason": EndReason.LOST, "state": JobState.FAILED, "exit_code": None}
    world.job_fields.update(lost)
    assert any("nobody says so" in sentence for sentence in world.judge().wrong)
    world.job_fields.update(end_detail="its exit record cannot be read")
    assert world.judge().wrong == []
    world.job_fields.update(state=JobState.RUNNING)
    assert any("has not ended" in sentence for sentence in world.judge().wrong)


def test_a_file_that_a_hostile_job_got_through_its_agent_is_found(world: World) -> None:
    world.shape = "damaging"
    world.stored = b"".join(cri.encode(SECRET + b"\n", STAMP, cri.STDOUT))
    assert any("file of somebody else" in sentence for sentence in world.judge().wrong)


def test_files_of_damaged_jobs_are_not_held_against_an_agent(tmp_path: Path) -> None:
    attempts = tmp_path / "attempts"
    for name in (f"{JOB}.1/work", f".broken/{JOB}.2"):
        (attempts / name).mkdir(parents=True)
    assert len(files_left(tmp_path)) == 3
    assert files_left(tmp_path, frozenset({JOB})) == []


def reads(world: World, said: bytes) -> Verdict:
    """A job that was given an input, and said this about it."""
    world.shape, world.feed = "reading", b"all of it"
    (world.records / f"{JOB}.1.out").write_bytes(said)
    world.stored = b"".join(cri.encode(said, STAMP, cri.STDOUT)) if said else b""
    return world.judge()


def test_who_has_read_the_whole_input_is_believed(world: World) -> None:
    verdict = reads(world, reading_of(b"all of it"))
    assert (verdict.wrong, verdict.inputs) == ([], 1)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (reading_of(b"all of "), "for its input, which is 9 bytes"),
        (reading_of(b"all of itit"), "for its input, which is 9 bytes"),
        (b"", "ended well without its input"),
    ],
)
def test_an_input_that_was_not_whole_is_told(world: World, said: bytes, words: str) -> None:
    world.attempt_fields["exit_code"] = 0
    assert any(words in sentence for sentence in reads(world, said).wrong)


def damaging(world: World, lines: list[str]) -> list[str]:
    """What is said of a job that put links in place of its files, with these log lines."""
    world.attempt_fields["exit_code"] = DAMAGED
    seed = next(n for n in range(1_000) if planned("damaging", n).damage == "_link")
    verdict = Verdict()
    unnamed_damage(verdict, cast(Client, world), {JOB: planned("damaging", seed)}, lines)
    return verdict.wrong


def planned(shape: str, seed: int) -> Planned:
    spec = CommandSpec(command=["python", "actor.py", shape, str(seed), "records"])
    return Planned(shape, spec, frozenset({EndReason.EXIT}), None)


def test_a_job_that_damages_its_attempt_is_to_be_named(world: World) -> None:
    named = f"a job has damaged its attempt attempt={JOB}.1"
    assert damaging(world, [named]) == []
    for lines in ([], ["a job has damaged its attempt attempt=other.1"], [f"online {JOB}"]):
        (sentence,) = damaging(world, lines)
        assert "nobody says so" in sentence


def test_the_reason_of_an_end_names_it_too(world: World) -> None:
    world.job_fields |= {"end_reason": EndReason.LOST, "end_detail": "its directory is gone"}
    assert damaging(world, []) == []
    assert planned("short", 1).damage == ""
