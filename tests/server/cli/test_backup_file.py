"""What a backup holds: logs and inputs as long as they were, whatever becomes of them meanwhile."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_server.cli import backup_file as module
from remote_server.cli.backup_file import Parts, write_backup
from remote_server.disk import sparse


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "logs" / "j").mkdir(parents=True)
    (folder / "archive" / "j").mkdir(parents=True)
    (folder / "artifacts" / "j" / "1").mkdir(parents=True)
    (folder / "artifacts" / "j" / "1" / "0").write_bytes(b"a report")
    (folder / "artifacts" / "j" / "1" / "1.part").write_bytes(b"half of")
    (folder / "contents" / "ab").mkdir(parents=True)
    (folder / "contents" / "ab" / "abc").write_bytes(b"a bundle")
    (folder / "contents" / "parts").mkdir()
    (folder / "contents" / "parts" / "abd.me").write_bytes(b"half of one")
    (folder / "inputs").mkdir()
    (folder / "logs" / "j" / "1.log").write_bytes(b"x" * 300_000)
    (folder / "logs" / "j" / "2.part").write_bytes(b"half")
    (folder / "archive" / "j" / "3.log.gz").write_bytes(b"packed")
    (folder / "archive" / "j" / ".4.log.gz.0a.part").write_bytes(b"half")
    (folder / "inputs" / "waits.open").write_bytes(b"first part")
    (folder / "inputs" / "whole.ended").write_bytes(b"all of it")
    return folder


def contents(path: Path) -> dict[str, bytes]:
    target = path.with_name(f"{path.name}.unpacked")
    target.mkdir()
    subprocess.run(["tar", "xf", path, "-C", target], check=True)
    with tarfile.open(path) as archive:
        assert {entry.mode for entry in archive.getmembers()} == {0o600}
    files = (file for file in target.rglob("*") if file.is_file())
    return {file.relative_to(target).as_posix(): file.read_bytes() for file in files}


@pytest.mark.parametrize("packed", [True, False])
def test_logs_and_inputs_are_there(data: Path, tmp_path: Path, packed: bool) -> None:
    database = tmp_path / "copy.db"
    database.write_bytes(b"rows")
    write_backup(tmp_path / "a", Parts(database, data), packed)
    assert contents(tmp_path / "a") == {
        "server.db": b"rows",
        "inputs/waits.open": b"first part",
        "inputs/whole.ended": b"all of it",
        "logs/j/1.log": b"x" * 300_000,
        "artifacts/j/1/0": b"a report",
        "artifacts/j/1/1.part": b"half of",
        "contents/ab/abc": b"a bundle",
        "archive/j/3.log.gz": b"packed",
    }
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_logs_and_database_can_be_left_out(data: Path, tmp_path: Path) -> None:
    write_backup(tmp_path / "a", Parts(None, data, logs=False), False)
    assert sorted(contents(tmp_path / "a")) == ["inputs/waits.open", "inputs/whole.ended"]


def test_an_artifact_that_is_complete_meanwhile_is_there(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = data / "artifacts" / "j" / "1" / "1.part"
    files = module._files

    def ended(parts: Parts) -> Iterator[Path]:
        found = list(files(parts))
        part.rename(part.with_suffix(""))
        yield from found

    monkeypatch.setattr(module, "_files", ended)
    write_backup(tmp_path / "a", Parts(None, data), False)
    found = contents(tmp_path / "a")
    assert found["artifacts/j/1/1"] == b"half of" and "artifacts/j/1/1.part" not in found


@pytest.mark.parametrize("left", [0, 5, 200_000])
def test_a_log_that_is_cut_meanwhile_keeps_its_length(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    """The server cuts a log that its agent has to send again."""
    log = data / "logs" / "j" / "1.log"
    add = sparse.add

    def cut(archive: Any, entry: tarfile.TarInfo, file: Any) -> None:
        if entry.name.endswith("1.log"):
            with log.open("r+b") as now:
                now.truncate(left)
        add(archive, entry, file)

    monkeypatch.setattr(sparse, "add", cut)
    write_backup(tmp_path / "a", Parts(None, data), False)
    found = contents(tmp_path / "a")["logs/j/1.log"]
    assert found == b"x" * left + bytes(300_000 - left)


def test_what_got_another_name_meanwhile_is_found(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module._files

    def renamed(parts: Parts) -> list[Path]:
        found = list(real(parts))
        (data / "inputs" / "waits.open").rename(data / "inputs" / "waits.ended")
        return found

    monkeypatch.setattr(module, "_files", renamed)
    write_backup(tmp_path / "a", Parts(None, data), False)
    assert sorted(contents(tmp_path / "a")) == [
        "archive/j/3.log.gz",
        "artifacts/j/1/0",
        "artifacts/j/1/1.part",
        "contents/ab/abc",
        "inputs/waits.ended",
        "inputs/whole.ended",
        "logs/j/1.log",
    ]


def test_a_log_that_is_packed_meanwhile_is_in_the_copy_of_the_archive(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module._add

    def packed_first(archive: tarfile.TarFile, path: Path, data_dir: Path) -> None:
        if path.name == "1.log":
            path.rename(data / "archive" / "j" / "1.log.gz")
        real(archive, path, data_dir)

    monkeypatch.setattr(module, "_add", packed_first)
    write_backup(tmp_path / "a", Parts(None, data), False)
    found = contents(tmp_path / "a")
    assert "logs/j/1.log" not in found
    assert found["archive/j/1.log.gz"] == b"x" * 300_000


def test_what_is_gone_meanwhile_is_left_out(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module._files

    def removed(parts: Parts) -> list[Path]:
        found = list(real(parts))
        (data / "inputs" / "whole.ended").unlink()
        return found

    monkeypatch.setattr(module, "_files", removed)
    write_backup(tmp_path / "a", Parts(None, data), False)
    assert sorted(contents(tmp_path / "a")) == [
        "archive/j/3.log.gz",
        "artifacts/j/1/0",
        "artifacts/j/1/1.part",
        "contents/ab/abc",
        "inputs/waits.open",
        "logs/j/1.log",
    ]


def test_an_archive_elsewhere_is_in_it_where_a_restored_server_looks(
    data: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "share"
    (elsewhere / "k").mkdir(parents=True)
    (elsewhere / "k" / "5.log.gz").write_bytes(b"far")
    write_backup(tmp_path / "b.tar", Parts(None, data, archive=elsewhere), False)
    found = contents(tmp_path / "b.tar")
    assert found["archive/k/5.log.gz"] == b"far"
    assert "archive/j/3.log.gz" not in found, "the server does not look there"
    write_backup(tmp_path / "c.tar", Parts(None, data, logs=False, archive=elsewhere), False)
    assert not any(name.startswith("archive/") for name in contents(tmp_path / "c.tar"))
