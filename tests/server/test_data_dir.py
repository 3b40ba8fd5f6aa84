"""The data directory: made, locked, and what stands in the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from remote_server.data_dir import DataDir, DataDirBusy, DataDirUnusable
from remote_server.domain.signing import KEY_SIZE, key_text


def test_it_is_made_for_its_owner_only(tmp_path: Path) -> None:
    data = DataDir(tmp_path / "a" / "data")
    data.prepare()
    data.prepare()
    assert data.path.stat().st_mode & 0o777 == 0o700
    assert data.logs.is_dir()
    folders = ["agent-logs", "archive", "artifacts", "contents", "inputs", "logs"]
    assert sorted(entry.name for entry in data.path.iterdir()) == folders


def test_what_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DataDirUnusable, match=r"not a directory.*--data-dir") as caught:
            DataDir(path).prepare()
        assert caught.value.exit_code == 2


def test_what_cannot_be_written() -> None:
    # Not even root can create files there.
    with pytest.raises(DataDirUnusable, match=r"cannot be written.*--data-dir"):
        DataDir(Path("/proc/remote-server")).prepare()


def test_only_one_server_at_a_time(tmp_path: Path) -> None:
    first, second = DataDir(tmp_path), DataDir(tmp_path)
    first.lock()
    with pytest.raises(DataDirBusy, match=rf"process {os.getpid()}.*--data-dir") as caught:
        second.lock()
    assert caught.value.exit_code == 1
    first.release()
    first.release()
    second.lock()
    second.release()


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from remote_server.data_dir import DataDir\n"
        "DataDir(Path(sys.argv[1])).lock(); print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        data = DataDir(tmp_path)
        with pytest.raises(DataDirBusy):
            data.lock()
        other.kill()
        other.wait()
        data.lock()
        data.release()


def test_the_admin_token_is_for_its_owner(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    assert data.read_admin_token() is None
    data.write_admin_token("rpt_one")
    data.write_admin_token("rpt_two")
    assert data.read_admin_token() == "rpt_two"
    assert data.admin_token.stat().st_mode & 0o777 == 0o600


def test_the_key_of_webhooks_is_made_once(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    made = data.signing_key(None, lambda: key_text(b"k" * KEY_SIZE))
    assert data.webhooks_key.stat().st_mode & 0o777 == 0o600
    assert data.signing_key(None, lambda: "another").id == made.id
    other = tmp_path / "other.key"
    other.write_text(key_text(b"o" * KEY_SIZE))
    assert data.signing_key(other, str).id != made.id
    data.webhooks_key.write_text("damaged")
    with pytest.raises(DataDirUnusable, match=r"base64 of 32 bytes.*rotate-secret"):
        data.signing_key(None, str)
    with pytest.raises(DataDirUnusable, match="No such file"):
        data.signing_key(tmp_path / "missing", str)
