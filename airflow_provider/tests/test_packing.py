"""Folders of DAGs as archives: the same bytes, what is left out, what is refused."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from remote_airflow.packing import MOST_FILES, PackError, look, pack

IGNORE = ".remoteignore"
LIMIT = 1 << 20


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    root = tmp_path / "dags"
    for name in ("b.py", "a.py", "lib/c.py", "lib/__pycache__/c.pyc", ".git/objects/1", "d.pyc"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    return root


def names(root: Path) -> list[str]:
    return [entry.name for entry in look(str(root), IGNORE, LIMIT)]


def packed(root: Path) -> tuple[str, bytes]:
    file = io.BytesIO()
    found = pack(look(str(root), IGNORE, LIMIT), file)
    assert found.size == len(file.getvalue())
    return found.digest, file.getvalue()


def test_the_same_files_are_the_same_bytes(dags: Path, tmp_path: Path) -> None:
    digest, data = packed(dags)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["a.py", "b.py", "lib/c.py", "run.sh"]
        modes = {one.filename: one.external_attr >> 16 & 0o777 for one in archive.infolist()}
    assert modes == {"a.py": 0o644, "b.py": 0o644, "lib/c.py": 0o644, "run.sh": 0o755}
    other = tmp_path / "other"
    for name in ("run.sh", "lib/c.py", "b.py", "a.py"):
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_bytes((dags / name).read_bytes())
        os.utime(other / name, (1, 1))
    (other / "run.sh").chmod(0o700)
    assert packed(other) == (digest, data)
    (other / "a.py").write_text("other")
    assert packed(other)[0] != digest


def test_what_has_changed_is_seen_without_reading_it(dags: Path) -> None:
    before = look(str(dags), IGNORE, LIMIT)
    assert look(str(dags), IGNORE, LIMIT) == before
    os.utime(dags / "a.py", (7, 7))
    assert look(str(dags), IGNORE, LIMIT) != before


def test_what_the_ignore_file_names_is_left_out(dags: Path) -> None:
    (dags / "data").mkdir()
    (dags / "data" / "big.csv").write_text("1")
    (dags / IGNORE).write_text("# large\ndata/\nlib/*.py\n!lib/keep.py\n/b.py\n")
    (dags / "lib" / "keep.py").write_text("")
    assert names(dags) == [IGNORE, "a.py", "lib/keep.py", "run.sh"]
    (dags / IGNORE).write_bytes(b"\xff")
    with pytest.raises(PackError, match=r"its \.remoteignore cannot be read"):
        names(dags)


def test_links_lead_nowhere_else(dags: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush")
    (dags / "inside.py").symlink_to(dags / "a.py")
    (dags / ".#a.py").symlink_to("somebody@host.1")
    assert "inside.py" in names(dags) and ".#a.py" not in names(dags)
    link = tmp_path / "link"
    link.symlink_to(dags)
    assert look(str(link), IGNORE, LIMIT) == look(str(dags), IGNORE, LIMIT), "as git-sync has it"
    (dags / "out.py").symlink_to(tmp_path / "secret")
    with pytest.raises(PackError, match=r"out\.py is a link that leads out of the bundle"):
        names(dags)
    (dags / IGNORE).write_text("out.py\n")
    (dags / "common").symlink_to(tmp_path)
    with pytest.raises(PackError, match="common is a link to a folder"):
        names(dags)


def test_what_is_no_file_is_left_out(dags: Path) -> None:
    os.mkfifo(dags / "pipe")
    assert "pipe" not in names(dags)


def test_limits_are_said(dags: Path, tmp_path: Path) -> None:
    with pytest.raises(PackError, match=rf"more than {MOST_FILES} files or 10 bytes; name what"):
        look(str(dags), IGNORE, 10)
    with pytest.raises(PackError, match=r"is not on the scheduler's host; have it there"):
        names(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PackError, match="has no files"):
        names(tmp_path / "empty")


def test_no_more_of_a_file_is_packed_than_was_seen(dags: Path) -> None:
    seen = look(str(dags), IGNORE, LIMIT)
    with (dags / "a.py").open("a") as file:
        file.write("x" * 100)
    data = io.BytesIO()
    pack(seen, data)
    with zipfile.ZipFile(data) as archive:
        assert archive.read("a.py") == b"a.py"
    (dags / "a.py").unlink()
    with pytest.raises(OSError, match=r"a\.py"):
        pack(seen, io.BytesIO())


def test_a_file_that_is_replaced_while_it_is_packed_is_not_followed(
    dags: Path, tmp_path: Path
) -> None:
    seen = look(str(dags), IGNORE, LIMIT)
    (tmp_path / "secret").write_text("hush")
    (dags / "a.py").rename(tmp_path / "a.py")
    (dags / "a.py").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match=r"a\.py leads out of the bundle"):
        pack(seen, io.BytesIO())
    (dags / "a.py").unlink()
    (dags / "a.py").write_text("a.py")
    with pytest.raises(OSError, match=r"a\.py is another file now"):
        pack(seen, io.BytesIO())
    # The same file, which is elsewhere now: who could do that could have its folder be another one.
    (dags / "a.py").unlink()
    (dags / "a.py").symlink_to(tmp_path / "a.py")
    with pytest.raises(OSError, match=r"a\.py leads out of the bundle"):
        pack(seen, io.BytesIO())
    (dags / "a.py").unlink()
    os.mkfifo(dags / "a.py")
    with pytest.raises(OSError, match=r"a\.py is no file"):
        pack(seen, io.BytesIO())


def test_the_ignore_file_is_a_small_file_of_the_bundle(dags: Path, tmp_path: Path) -> None:
    def said() -> str:
        with pytest.raises(PackError, match=r"^its \.remoteignore cannot be read: ") as caught:
            names(dags)
        return str(caught.value)

    (tmp_path / "secret").write_text("!\nhush\n")
    (dags / IGNORE).symlink_to(tmp_path / "secret")
    assert "leads out of the bundle" in said() and "hush" not in said()
    (dags / IGNORE).unlink()
    os.mkfifo(dags / IGNORE)
    assert "is no file" in said(), "and nobody waits for a writer"
    (dags / IGNORE).unlink()
    (dags / IGNORE).write_bytes(b"a" * 65537)
    assert "larger than 65536 bytes" in said()


@pytest.mark.parametrize("line", ["*a*a*a*b", "lib/*a*a*a*b/c", "**/a/**/a/**/a/**/b"])
def test_a_pattern_that_takes_very_long_is_refused(dags: Path, line: str) -> None:
    (dags / ("a" * 200)).touch()
    (dags / IGNORE).write_text(f"*a*a*b\nlib/**/*.csv\n{line}\n")
    with pytest.raises(PackError, match=r"a line with more than 3 \* in one name; write several"):
        names(dags)
    (dags / IGNORE).write_text("*a*a*b\nlib/**/*.csv\n")
    assert "a.py" in names(dags)
