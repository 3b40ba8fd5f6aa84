"""Files with holes in tar archives: unpacked by GNU tar and by Python, to the same bytes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from remote_server.disk import sparse
from remote_server.disk.sparse import Extent

MIB = 1 << 20


def write(path: Path, size: int, parts: Sequence[tuple[int, bytes]]) -> None:
    """A file of `size` bytes that has these parts and holes."""
    with path.open("wb") as file:
        for offset, data in parts:
            os.pwrite(file.fileno(), data, offset)
        file.truncate(size)


def archive_of(path: Path, to: Path, mode: str = "w", name: str = "logs/a/1.log") -> Path:
    with tarfile.open(to, mode) as archive, path.open("rb", buffering=0) as file:  # type: ignore[call-overload]
        sparse.add(archive, archive.gettarinfo(arcname=name, fileobj=file), file)
        (to.parent / "after").write_bytes(b"after")
        archive.add(to.parent / "after", "after")
    return to


SHAPES: dict[str, tuple[int, list[tuple[int, bytes]]]] = {
    "no hole": (3 * MIB, [(0, random.Random(1).randbytes(3 * MIB))]),
    "a gap with its note": (64 * MIB, [(0, b"first\nnote\n"), (64 * MIB - 1, b"\n")]),
    "data at both ends": (9 * MIB, [(0, b"a" * 5000), (8 * MIB + 77, b"z" * (MIB - 77))]),
    "nothing but a hole": (70 * MIB, []),
    "a hole at the end": (70 * MIB, [(0, b"x" * 100_000)]),
    "a hole at the start": (70 * MIB + 3, [(70 * MIB, b"xyz")]),
    "many holes": (80 * MIB, [(at * MIB, b"%d" % at) for at in range(0, 80, 2)]),
    "short holes": (4 * MIB, [(at * 8192, b"%d" % at) for at in range(512)]),
    "empty": (0, []),
    "short": (12, [(0, b"only")]),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("by", ["tar", "python"])
def test_the_same_bytes_come_back(tmp_path: Path, shape: str, by: str) -> None:
    size, parts = SHAPES[shape]
    source = tmp_path / "1.log"
    write(source, size, parts)
    file = archive_of(source, tmp_path / "archive.tar")
    target = tmp_path / "target"
    target.mkdir()
    if by == "tar":
        subprocess.run(["tar", "xf", file, "-C", target], check=True)
    else:
        with tarfile.open(file) as archive:
            archive.extractall(target, filter="data")
    subprocess.run(["cmp", source, target / "logs/a/1.log"], check=True)
    assert (target / "after").read_bytes() == b"after"
    assert sorted(path.name for path in target.rglob("*") if path.is_file()) == ["1.log", "after"]
    with tarfile.open(file) as archive:
        assert archive.getnames() == ["logs/a/1.log", "after"]


@pytest.mark.skipif(sys.platform == "win32", reason="the file system has no holes")
def test_a_hole_costs_nothing(tmp_path: Path) -> None:
    source = tmp_path / "1.log"
    write(source, 8 << 30, [(0, b"start\n"), (4 << 30, b"middle\n"), ((8 << 30) - 1, b"\n")])
    for name, mode in (("a.tar", "w"), ("a.tar.gz", "w:gz")):
        assert archive_of(source, tmp_path / name, mode).stat().st_size < MIB
    (tmp_path / "target").mkdir()
    subprocess.run(["tar", "xf", tmp_path / "a.tar", "-C", tmp_path / "target"], check=True)
    found = (tmp_path / "target/logs/a/1.log").stat()
    assert found.st_size == 8 << 30
    assert found.st_blocks * 512 < MIB


def test_what_is_written_meanwhile_is_not_awaited(tmp_path: Path) -> None:
    """A log grows while it is archived: as long as it was."""
    source = tmp_path / "1.log"
    write(source, 2 * MIB, [(MIB, b"x" * MIB)])
    with (
        tarfile.open(tmp_path / "a.tar", "w") as archive,
        source.open("r+b", buffering=0) as file,
    ):
        entry = archive.gettarinfo(arcname="1.log", fileobj=file)
        os.pwrite(file.fileno(), b"more", 5 * MIB)
        sparse.add(archive, entry, file)
    with tarfile.open(tmp_path / "a.tar") as archive:
        content = archive.extractfile("1.log")
        assert content is not None and content.read() == bytes(MIB) + b"x" * MIB


def test_a_file_that_became_shorter_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "1.log"
    write(source, 3 * MIB, [(0, b"a"), (2 * MIB, b"x" * MIB)])
    with (
        tarfile.open(tmp_path / "a.tar", "w") as archive,
        source.open("r+b", buffering=0) as file,
    ):
        entry = archive.gettarinfo(arcname="1.log", fileobj=file)
        stored = sparse.extents(file.fileno(), entry.size)
        assert stored[-1] == Extent(2 * MIB, MIB)
        condensed = sparse._Condensed(b"", stored, file)
        file.truncate(2 * MIB + 10)
        entry.size = sum(extent.size for extent in stored)
        with pytest.raises(OSError, match="unexpected end of data"):
            archive.addfile(entry, condensed)


def test_where_nobody_knows_of_holes_all_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> int:
        raise OSError(22, "Invalid argument")

    source = tmp_path / "1.log"
    write(source, MIB, [])
    with source.open("rb", buffering=0) as file:
        assert sparse.extents(file.fileno(), MIB) == []
        monkeypatch.setattr(os, "lseek", unknown)
        assert sparse.extents(file.fileno(), MIB) == [Extent(0, MIB)]
