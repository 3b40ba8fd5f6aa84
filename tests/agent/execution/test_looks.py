"""What one look at a directory tells, whatever a job has put into it."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest

from remote_agent.execution.looks import Look, look_at
from remote_protocol.limits import MAX_TEXT
from tests.support.fake_server import new_key

KEY = new_key()
RECORD = {"v": 1, "exit_code": 0, "end_reason": "exit", "size": 0, "checksum": 0, "ended_at": 1.0}


def test_before_it_has_begun(tmp_path: Path) -> None:
    assert look_at(KEY, tmp_path, False) == Look(False, False, None)
    with pytest.raises(FileNotFoundError):
        look_at(KEY, tmp_path / "gone", True)


def test_while_a_shim_keeps_it_and_when_none_does(tmp_path: Path) -> None:
    (tmp_path / "started.json").touch()
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert look_at(KEY, tmp_path, True) == Look(True, True, None)
    (tmp_path / "exit.json").write_bytes(b"no record")
    assert look_at(KEY, tmp_path, True) == Look(True, True, None), "a job may write what it likes"
    os.close(descriptor)
    assert look_at(KEY, tmp_path, True) == Look(True, False, None)


def test_an_end_counts_once_its_start_is_known(tmp_path: Path) -> None:
    (tmp_path / "exit.json").write_text(json.dumps(RECORD))
    assert look_at(KEY, tmp_path, False) == Look(True, False, None)
    seen = look_at(KEY, tmp_path, True)
    assert seen.ended is not None and (seen.ended.attempt, seen.ended.exit_code) == (KEY, 0)


def test_a_record_is_read_with_care_where_it_must_be(tmp_path: Path) -> None:
    long = "x" * (MAX_TEXT + 9)
    (tmp_path / "exit.json").write_text(json.dumps({**RECORD, "end_detail": long}))
    seen = look_at(KEY, tmp_path, True)
    assert seen.ended is not None and seen.ended.end_detail == long[:MAX_TEXT]
    (tmp_path / "exit.json").write_text(json.dumps({**RECORD, "size": -1}))
    assert look_at(KEY, tmp_path, True) == Look(True, False, None), "the journal looks at it"
    (tmp_path / "exit.json").unlink()
    (tmp_path / "exit.json").mkdir()
    assert look_at(KEY, tmp_path, True) == Look(False, False, None)
