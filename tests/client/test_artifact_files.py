"""Fetched artifacts on a disk: nothing is overwritten, and no name leads elsewhere."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from remote_client.artifact_files import ArtifactFile, FileRefused

DATA = b"some content"


def file(folder: Path, name: str = "d/f", data: bytes = DATA) -> ArtifactFile:
    return ArtifactFile(folder, name, len(data), hashlib.sha256(data).hexdigest())


def fetch(made: ArtifactFile, data: bytes = DATA) -> int:
    with made.part() as part:
        offset = part.offset
        part.write(data[offset:])
    made.finish()
    return offset


def test_a_file_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    made = file(tmp_path)
    assert not made.there()
    assert fetch(made) == 0
    assert (tmp_path / "d" / "f").read_bytes() == DATA and made.there()
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["f"]


def test_a_fetch_that_broke_off_goes_on(tmp_path: Path) -> None:
    with file(tmp_path).part() as part:
        part.write(DATA[:5])
    assert not file(tmp_path).there()
    assert fetch(file(tmp_path)) == 5
    assert (tmp_path / "d" / "f").read_bytes() == DATA


def test_what_came_of_another_content_is_not_gone_on_with(tmp_path: Path) -> None:
    with file(tmp_path, data=b"another one").part() as part:
        part.write(b"anoth")
    assert fetch(file(tmp_path)) == 0


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("mine")
    with pytest.raises(FileRefused, match="is another file"):
        file(tmp_path).there()
    (tmp_path / "d" / "f").unlink()
    made = file(tmp_path)
    with made.part() as part:
        part.write(DATA)
    (tmp_path / "d" / "f").write_text("mine")
    with pytest.raises(FileRefused, match="exists by now"):
        made.finish()
    assert (tmp_path / "d" / "f").read_text() == "mine"


def test_another_checksum(tmp_path: Path) -> None:
    made = file(tmp_path)
    with made.part() as part:
        part.write(b"x" * len(DATA))
    with pytest.raises(FileRefused, match="another checksum"):
        made.finish()
    assert not list((tmp_path / "d").iterdir())


@pytest.mark.parametrize("name", ["../f", "/etc/f", "a/../../f", "a\\..\\f", "", "a\x1b"])
def test_hostile_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileRefused, match="its name is refused"):
        file(tmp_path, name)


def test_links_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "d").symlink_to(tmp_path)
    with pytest.raises(FileRefused, match="is a link"):
        file(tmp_path / "out")
    (tmp_path / "f").symlink_to("/dev/null")
    with pytest.raises(FileRefused, match="is another file"):
        file(tmp_path, "f").there()
    made = file(tmp_path, "g")
    (tmp_path / f".{hashlib.sha256(DATA).hexdigest()[:16]}.part").symlink_to("/dev/null")
    with pytest.raises(FileRefused, match="cannot be made"), made.part():
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "d").write_text("a file")
    with pytest.raises(FileRefused, match="cannot be made"), file(tmp_path).part():
        pass
