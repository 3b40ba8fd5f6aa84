"""Files put into folders of jobs on Windows."""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import os
from pathlib import Path

from remote_agent.processes.windows.placing import put_below


def test_a_copy_with_its_folders(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"1\r\n2\n" * 1000)
    source = os.open(tmp_path / "source", os.O_RDONLY | os.O_BINARY)
    for _ in range(2):
        put_below(str(tmp_path), ["home", "work", "f"], source, 0o600, None)
    os.close(source)
    assert (tmp_path / "home" / "work" / "f").read_bytes() == b"1\r\n2\n" * 1000
