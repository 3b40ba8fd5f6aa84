"""`remote-server migrate`, `check`, `backup` in real processes."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from remote_server.disk.sparse import extents
from tests.support.server_program import Program, call, started


def running(data: Path):
    return started("run", "--listen", "127.0.0.1:0", "--data-dir", data, until="token is in")


def submit(server: Program, data: Path) -> str:
    token = (data / "admin-token").read_text().strip()
    return str(server.get("/api/v1/jobs", token, body={"command": ["true"]})["id"])


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that a server has used."""
    folder = tmp_path_factory.mktemp("used") / "data"
    with running(folder) as server:
        submit(server, folder)
    return folder


@pytest.fixture
def data(used: Path, tmp_path: Path) -> Path:
    """One of its own for each test."""
    return shutil.copytree(used, tmp_path / "data")


def test_migrate(data: Path, tmp_path: Path) -> None:
    said = call("migrate", "--data-dir", data)
    assert (said.returncode, said.stdout) == (0, "nothing to do\n")
    with running(data):
        busy = call("migrate", "--data-dir", data)
        assert busy.returncode == 1
        assert "stop it first" in busy.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("migrate",),
        ("check",),
        ("check", "--repair"),
        ("backup", "copy.tar"),
        ("token", "create", "--role", "admin", "--name", "x"),
    ],
)
def test_a_misspelt_data_directory_gets_no_database(
    tmp_path: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for given in (("--data-dir", "typo"), ("--database", f"sqlite:///{tmp_path}/typo/server.db")):
        said = call(*command, *given)
        assert said.returncode == 1 and said.stdout == ""
        assert "there is no database" in said.stderr and "--data-dir" in said.stderr
    assert list(tmp_path.iterdir()) == []


def test_check_finds_and_repairs(data: Path) -> None:
    sound = call("check", "--data-dir", data)
    assert (sound.returncode, sound.stdout) == (0, "sound: 1 jobs\n")
    unknown = data / "logs" / "01ARZ3"
    unknown.mkdir(parents=True)
    (unknown / "01ARZ3NDEKTSV4RRFFQ69G5FAV.1.log").write_text("x")
    found = call("check", "--data-dir", data)
    assert found.returncode == 1
    assert "belongs to no job" in found.stdout
    assert "1 fault" in found.stdout
    repaired = call("check", "--repair", "--data-dir", data)
    assert repaired.returncode == 0
    assert "1 repaired" in repaired.stdout
    assert call("check", "--data-dir", data).returncode == 0
    with running(data):
        assert call("check", "--data-dir", data).returncode == 0
        assert call("check", "--repair", "--data-dir", data).returncode == 1


def test_check_names_queues_of_relays_that_do_not_exist(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('[relay.api]\nurl = "http://a"\nqueues = ["default", "berlin"]\n')
    found = call("check", "--data-dir", data, "--config", file)
    assert found.returncode == 1
    assert "[relay.api] queues has berlin, which does not exist" in found.stdout
    assert "remotectl queue create berlin" in found.stdout and "1 fault" in found.stdout


def test_check_finds_damage_in_the_database(data: Path) -> None:
    with closing(sqlite3.connect(data / "server.db")) as database:
        database.execute("UPDATE jobs SET state = 'running'")
        database.commit()
    found = call("check", "--data-dir", data)
    assert found.returncode == 1
    assert "contradict" in found.stdout


def test_check_names_what_was_done_to_the_audit(data: Path) -> None:
    made = call("token", "create", "--role", "viewer", "--name", "x", "--data-dir", data)
    assert made.returncode == 0
    with closing(sqlite3.connect(data / "server.db")) as database:
        rows = database.execute("SELECT action, actor_kind FROM audit ORDER BY number").fetchall()
        assert rows == [
            ("server.start", "server"),
            ("token.create", "server"),
            ("job.submit", "api"),
            ("token.create", "command_line"),
        ]
        database.execute("DELETE FROM audit WHERE number = 3")
        database.commit()
    found = call("check", "--data-dir", data)
    assert (found.returncode, found.stdout) == (
        1,
        "entry 3 of the audit was removed\n1 fault\n",
    )
    # Nothing repairs that.
    assert call("check", "--repair", "--data-dir", data).returncode == 1


@pytest.mark.parametrize("name", ["copy.tar", "copy.tar.gz"])
def test_a_backup_of_a_running_server_can_be_restored(
    data: Path, tmp_path: Path, name: str
) -> None:
    log = data / "logs" / "01ARZ3" / "01ARZ3NDEKTSV4RRFFQ69G5FAV.1.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"kept")
    file = tmp_path / name
    with running(data) as server:
        job = submit(server, data)
        said = call("backup", "--data-dir", data, file)
        assert said.returncode == 0, said.stderr
        assert str(file.stat().st_size) in said.stdout
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(tmp_path.glob(".backup*")) == []
    restored = tmp_path / "restored"
    restored.mkdir()
    restored.chmod(0o755)
    subprocess.run(["tar", "xf", file, "-C", restored], check=True)
    entries = [path for path in restored.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in entries} == {0o600}
    (restored / "server.db").chmod(0o644)
    assert (restored / log.relative_to(data)).read_bytes() == b"kept"
    token = (data / "admin-token").read_text().strip()
    with started(
        "run", "--listen", "127.0.0.1:0", "--data-dir", restored, until="listens on"
    ) as server:
        waited = server.get(f"/api/v1/jobs/{job}", token)
        # It may have run since the copy was made.
        assert (waited["state"], waited["end_reason"]) == ("failed", "lost")
        assert restored.stat().st_mode & 0o777 == 0o700
        files = restored.glob("server.db*")
        assert {path.name: path.stat().st_mode & 0o777 for path in files} == dict.fromkeys(
            ("server.db", "server.db-wal", "server.db-shm"), 0o600
        )


@pytest.mark.parametrize("name", ["copy.tar", "copy.tar.gz"])
def test_gaps_of_logs_cost_nothing_in_a_backup(data: Path, tmp_path: Path, name: str) -> None:
    gib = 1 << 30
    folder = data / "logs" / "01ARZ3"
    folder.mkdir(parents=True)
    for number in range(1, 4):
        with (folder / f"01ARZ3NDEKTSV4RRFFQ69G5FAV.{number}.log").open("w+b") as log:
            log.write(b"%d begins\n" % number)
            log.flush()
            os.pwrite(log.fileno(), b"%d ends\n" % number, gib)
    file = tmp_path / name
    said = call("backup", "--data-dir", data, file)
    assert said.returncode == 0, said.stderr
    assert file.stat().st_size < 4 << 20
    restored = tmp_path / "restored"
    restored.mkdir()
    subprocess.run(["tar", "xf", file, "-C", restored], check=True)
    for path in sorted(folder.iterdir()):
        found = restored / path.relative_to(data)
        assert found.stat().st_mode & 0o777 == 0o600
        assert found.stat().st_blocks * 512 < 1 << 20
        with path.open("rb") as one, found.open("rb") as other:
            assert extents(one.fileno(), gib) == extents(other.fileno(), gib)
            assert one.read(4096) == other.read(4096)
            one.seek(gib - 4096)
            other.seek(gib - 4096)
            assert one.read() == other.read()


def test_a_backup_of_the_database_alone(data: Path, tmp_path: Path) -> None:
    assert call("backup", "--data-dir", data, tmp_path / "copy.db").returncode == 0
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(tmp_path / "copy.db")) as database:
        assert database.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
    assert call("backup", "--no-logs", "--data-dir", data, tmp_path / "copy.tar").returncode == 0
    with tarfile.open(tmp_path / "copy.tar") as archive:
        assert archive.getnames() == ["server.db", "webhooks.key"]


def test_what_is_in_the_way(data: Path, tmp_path: Path) -> None:
    missing = call("backup", "--data-dir", data, tmp_path / "nowhere" / "copy.tar")
    assert missing.returncode == 1
    assert "cannot be written" in missing.stderr
    for command in (("check",), ("backup", tmp_path / "x.tar")):
        nothing = call(*command, "--data-dir", tmp_path / "none")
        assert nothing.returncode == 1
        assert "there is no database" in nothing.stderr


def test_an_archive_elsewhere_is_copied_when_asked(data: Path, tmp_path: Path) -> None:
    share, file = tmp_path / "share", tmp_path / "copy.tar"
    place = ("--data-dir", data)
    said = call("backup", file, *place, "--with-archive")
    assert said.returncode == 1 and "leave the option out" in said.stderr
    environment = {"REMOTE_SERVER_LOGS_ARCHIVE_DIR": str(share)}
    said = call("backup", file, *place, "--with-archive", **environment)
    assert said.returncode == 1 and f"{share} is not there; mount it" in said.stderr
    (share / "x").mkdir(parents=True)
    (share / "x" / "1.log.gz").write_bytes(b"packed")
    said = call("backup", file, *place, **environment)
    assert said.returncode == 0
    assert f"without the packed logs in {share}: give --with-archive" in said.stderr
    said = call("backup", file, *place, "--with-archive", **environment)
    assert said.returncode == 0 and "packed logs" not in said.stderr
    with tarfile.open(file) as archive:
        assert "archive/x/1.log.gz" in archive.getnames()


def test_an_archive_in_a_bucket_is_left_to_the_storage(data: Path, tmp_path: Path) -> None:
    file, place = tmp_path / "copy.tar", ("--data-dir", data)
    environment = {"REMOTE_SERVER_LOGS_ARCHIVE": "s3://logs/prod"}
    said = call("backup", file, *place, **environment)
    assert said.returncode == 0
    assert "without the packed logs in s3://logs/prod: keep versions of its objects" in said.stderr
    said = call("backup", file, *place, "--with-archive", **environment)
    assert said.returncode == 1 and "packed logs are in s3://logs/prod" in said.stderr
