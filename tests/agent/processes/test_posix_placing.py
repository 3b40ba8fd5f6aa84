"""Files put into folders of jobs: copies, new ones, and nothing outside is reached."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_agent.processes.posix_placing import put_below

DATA = os.urandom(3_000_000)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "source").write_bytes(DATA)
    descriptor = os.open(tmp_path / "source", os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_a_copy_with_its_folders(tmp_path: Path, source: int) -> None:
    place = home(tmp_path)
    put_below(str(place), ["work", "a", "f"], source, 0o640, None)
    put_below(str(place), ["work", "a", "f"], source, 0o600, None)
    target = place / "work" / "a" / "f"
    assert target.read_bytes() == DATA and target.stat().st_mode & 0o777 == 0o600
    target.write_bytes(b"changed")
    assert (tmp_path / "source").read_bytes() == DATA, "a job changes its own copy only"


def test_where_the_kernel_cannot_copy(
    tmp_path: Path, source: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(*_: object) -> int:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", unable, raising=False)
    place = home(tmp_path)
    put_below(str(place), ["f"], source, 0o600, None)
    assert (place / "f").read_bytes() == DATA


def test_links_are_not_followed(tmp_path: Path, source: int) -> None:
    place, outside = home(tmp_path), tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("mine")
    (place / "work").symlink_to(outside)
    with pytest.raises(OSError):
        put_below(str(place), ["work", "f"], source, 0o600, None)
    (place / "g").symlink_to(outside / "f")
    put_below(str(place), ["g"], source, 0o600, None)
    assert (outside / "f").read_text() == "mine" and not (place / "g").is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_they_belong_to_the_jobs_user(tmp_path: Path, source: int) -> None:
    place = home(tmp_path)
    put_below(str(place), ["work", "f"], source, 0o600, (12345, 12345))
    for path in (place / "work", place / "work" / "f"):
        assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12345)
