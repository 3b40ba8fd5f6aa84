"""Files of the host, written as a whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote_agent.service.files import put


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_content_and_mode_are_as_given_whatever_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    assert put(path, b"\xff\n", 0o600) and path.read_bytes() == b"\xff\n"
    assert mode_of(path) == 0o600 and not put(path, b"\xff\n", 0o600)
    assert put(path, b"\xff\n", 0o644) and mode_of(path) == 0o644
    assert put(path, b"other", 0o600) and mode_of(path) == 0o600
    assert os.listdir(path.parent) == ["file"]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    other, path = tmp_path / "other", tmp_path / "file"
    other.write_text("x")
    path.symlink_to(other)
    (tmp_path / ".file.new").symlink_to(other)
    assert put(path, b"y", 0o600)
    assert other.read_text() == "x" and not path.is_symlink() and path.read_text() == "y"


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        put(tmp_path / "file" / "below", b"", 0o600)
