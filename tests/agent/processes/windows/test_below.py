"""Files below a job's folder on Windows: what is found, and that no name leads elsewhere."""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import os
from pathlib import Path

import pytest

from remote_agent.processes.types import FileBelow, UnexpectedEntry
from remote_agent.processes.windows.below import files_below, open_below


def test_files_and_folders(tmp_path: Path) -> None:
    place = tmp_path / "artifacts"
    (place / "d").mkdir(parents=True)
    (place / "d" / "f").write_bytes(b"123")
    assert set(files_below(str(tmp_path), "artifacts", 3)) == {
        FileBelow("d", 0, None),
        FileBelow("d/f", 3, ""),
    }
    assert set(files_below(str(tmp_path), "artifacts", 0)) == {FileBelow("d", 0, "it is too deep")}
    descriptor = open_below(str(tmp_path), "artifacts", "d/f")
    assert os.read(descriptor, 9) == b"123"
    os.close(descriptor)


@pytest.mark.parametrize("name", ["../x", "..\\x", "C:x", "d//f", "missing"])
def test_what_leads_elsewhere(tmp_path: Path, name: str) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "x").write_text("secret")
    with pytest.raises((UnexpectedEntry, FileNotFoundError)):
        open_below(str(tmp_path), "artifacts", name)
