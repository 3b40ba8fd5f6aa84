"""An attempt that has not begun is ended once, and then never begins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from remote_agent.journal.unstarted import end_before_start
from remote_agent.processes import Folder
from remote_agent.shim.layout import EXIT
from remote_agent.shim.record import has_begun, mark_begun
from remote_protocol.states import EndReason


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_it_takes_the_place_of_the_start(tmp_path: Path, folder: Folder) -> None:
    assert end_before_start(tmp_path, EndReason.CANCELLED, "not needed")
    record = json.loads((tmp_path / EXIT).read_text())
    assert (record["end_reason"], record["exit_code"]) == ("cancelled", None)
    assert record["end_detail"] == "not needed; it had not started"
    assert has_begun(folder)
    with pytest.raises(FileExistsError):
        mark_begun(folder)
    assert not end_before_start(tmp_path, EndReason.CANCELLED, "again")


def test_it_fails_where_a_shim_is_at_work(tmp_path: Path, folder: Folder) -> None:
    assert folder.lock()
    assert not end_before_start(tmp_path, EndReason.CANCELLED, "")
    assert not (tmp_path / EXIT).exists() and not has_begun(folder)
    assert not end_before_start(tmp_path / "absent", EndReason.CANCELLED, "")
