"""Stamps of messages: taken around a program's own functions, written when it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

from benchmarks.stamped import Stamp, note, read, watch
from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import encode

ROOT = Path(__file__).resolve().parents[2]
JOB = "0" * 25 + "1"


def test_messages_about_a_job_are_noted() -> None:
    module = ModuleType("coder")
    module.encode = encode  # type: ignore[attr-defined]
    stamps: list[Stamp] = []
    watch(module, "encode", lambda message, _: note(stamps, "out", message))
    begun = time.time()
    started = m.Started(attempt=AttemptId(job=JOB, number=1), pid=1, at=1.0)
    assert module.encode(started) == encode(started)
    module.encode(m.Heartbeat(seq=1))
    [stamp] = stamps
    assert stamp[1:] == ("out", "started", JOB)
    assert begun <= stamp.at <= time.time()


def test_a_program_runs_as_it_is_and_leaves_its_stamps(tmp_path: Path) -> None:
    file = tmp_path / "stamps"
    call = [sys.executable, "-m", "benchmarks.stamped", str(file), "remote-agent", "version"]
    done = subprocess.run(
        call, check=True, capture_output=True, text=True, cwd=ROOT, env=dict(os.environ)
    )
    assert done.stdout.startswith("remote-agent ")
    assert read(file) == []


def test_stamps_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "stamps"
    file.write_text(f'[1.5, "in", "offer", "{JOB}"]\n')
    assert read(file) == [Stamp(1.5, "in", "offer", JOB)]
