"""`remote_server.logs.opening`: logs as files and an archive, in the places that are named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from remote_server.config import load
from remote_server.disk.reserve import Reserve
from remote_server.errors import ServerError
from remote_server.logs import opening
from remote_server.logs.opening import open_archive, open_logs
from tests.support.log_keys import new_key


async def test_logs_are_files_in_the_places_named(tmp_path: Path) -> None:
    root, folder, key = tmp_path / "logs", tmp_path / "archive", new_key()
    archive = open_archive(load(None, {}), folder)
    logs = open_logs(root, archive, Reserve(tmp_path, 0), 3)
    assert list(tmp_path.iterdir()) == []
    folder.mkdir()
    logs.append(key, b"four")
    assert [path.read_bytes() for path in root.rglob("*.log")] == [b"four"]
    assert list(logs.unpacked()) == [key]
    await logs.pack(key)
    assert [path.name for path in folder.rglob("*.gz")] == ["1.log.gz"]
    assert await logs.read(key, 0, 9) == b"four"
    logs.append(new_key(), b"xx")
    assert list(logs.unpacked()) == []
    logs.close()


def test_the_archive_that_the_configuration_names(tmp_path: Path) -> None:
    named = load(None, {"REMOTE_SERVER_LOGS_ARCHIVE_DIR": str(tmp_path)})
    assert open_archive(named, Path("/usual")).where("x") == str(tmp_path / "x")
    assert open_archive(load(None, {}), Path("/usual")).where("x") == "/usual/x"
    bucket = load(None, {"REMOTE_SERVER_LOGS_ARCHIVE": "s3://logs/prod"})
    archive = open_archive(bucket, Path("/usual"))
    assert archive.where("x") == "s3://logs/prod/x"
    archive.close()


def test_a_bucket_without_the_packages_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "find_spec", lambda _: None)
    bucket = load(None, {"REMOTE_SERVER_LOGS_ARCHIVE": "s3://logs"})
    with pytest.raises(ServerError, match=r"pip install 'remote-server\[s3\]'"):
        open_archive(bucket, Path("/usual"))


def test_nobody_else_loads_the_library() -> None:
    code = (
        "import sys, pathlib\n"
        "from remote_server.config import load\n"
        "from remote_server import composition\n"
        "composition.open_archive(load(None, {}), pathlib.Path('x'))\n"
        "print('obstore' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
