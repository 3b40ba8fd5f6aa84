"""`remote-server secret rotate-key` and the key at a start, in real processes."""

from __future__ import annotations

import base64
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from remote_client.client import Client
from remote_protocol.api.secrets import SecretPut
from tests.support.server_program import Program, call, started

VALUE = "correct-horse-battery"


def running(data: Path, **env: str):
    line = ("run", "--listen", "127.0.0.1:0", "--data-dir", data)
    return started(*line, until="token is in", **env)


def client(server: Program, data: Path) -> Client:
    return Client(server.url, (data / "admin-token").read_text().strip())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory in which a server keeps a secret."""
    folder = tmp_path / "data"
    with running(folder) as server, client(server, folder) as calls:
        calls.set_secret("A", SecretPut(value=VALUE))
        assert server.stop() == 0
    return folder


def key_id(data: Path) -> str:
    with closing(sqlite3.connect(data / "server.db")) as database:
        return str(database.execute("SELECT key_id FROM secrets").fetchone()[0])


def test_a_new_key_for_all_secrets(data: Path) -> None:
    key, before = (data / "secrets.key").read_text(), key_id(data)
    said = call("secret", "rotate-key", "--data-dir", data)
    assert said.returncode == 0, said.stderr
    assert said.stdout == f"secrets encrypted again: 1; the key is now {key_id(data)}\n"
    assert key_id(data) != before and (data / "secrets.key").read_text() != key
    assert (data / "secrets.key").stat().st_mode & 0o777 == 0o600
    with running(data) as server, client(server, data) as calls:
        assert calls.secret("A").problem == ""
        busy = call("secret", "rotate-key", "--data-dir", data)
        assert busy.returncode == 1 and "stop it first" in busy.stderr
        entry = calls.audit(action="secret.rotate_key")[0]
        assert (entry.action, entry.actor_kind) == ("secret.rotate_key", "command_line")


def test_without_its_key_the_server_starts_and_says_so(data: Path) -> None:
    (data / "secrets.key").rename(data / "away")
    said = call("secret", "rotate-key", "--data-dir", data)
    assert said.returncode == 1 and "restore the file" in said.stderr
    said = call("check", "--data-dir", data)
    assert said.returncode == 1 and "the key of secrets is missing" in said.stdout
    with running(data) as server, client(server, data) as calls:
        assert "jobs do not get all of their secrets" in "".join(server.said)
        assert "there is no" in calls.secret("A").problem
        (data / "away").rename(data / "secrets.key")
        assert calls.secret("A").problem == ""


def test_a_key_of_the_environment_is_taken_out_of_it(data: Path) -> None:
    old = (data / "secrets.key").read_text().strip()
    (data / "secrets.key").unlink()
    new = base64.b64encode(b"n" * 32).decode()
    both = {"REMOTE_SERVER_SECRETS_KEY": f"{old},{new}"}
    with running(data, **both) as server, client(server, data) as calls:
        assert calls.secret("A").problem == ""
    one = {"REMOTE_SERVER_SECRETS_KEY": old}
    said = call("secret", "rotate-key", "--data-dir", data, **one)
    assert said.returncode == 1 and "a comma and the new one" in said.stderr
    said = call("secret", "rotate-key", "--data-dir", data, **both)
    assert said.returncode == 0 and "take the former key out" in said.stderr
    assert old not in said.stdout + said.stderr
    with running(data, REMOTE_SERVER_SECRETS_KEY=new) as server, client(server, data) as calls:
        assert calls.secret("A").problem == ""
    assert not (data / "secrets.key").exists()


def test_a_backup_has_the_key_only_when_it_is_asked_for(data: Path, tmp_path: Path) -> None:
    key = (data / "secrets.key").read_bytes()
    without, whole = tmp_path / "without.tar", tmp_path / "whole.tar"
    said = call("backup", "--data-dir", data, without)
    assert said.returncode == 0 and "keep a copy of that file" in said.stderr
    assert key.strip() not in without.read_bytes() and VALUE.encode() not in without.read_bytes()
    said = call("backup", "--data-dir", data, "--with-secrets-key", whole)
    assert said.returncode == 0 and said.stderr == ""
    assert key in whole.read_bytes() and VALUE.encode() not in whole.read_bytes()
    assert whole.stat().st_mode & 0o777 == 0o600
    said = call("backup", "--data-dir", data, "--with-secrets-key", tmp_path / "only.db")
    assert said.returncode == 1 and "leave the option out" in said.stderr
