"""`remote-server token create`: offline, and beside a running server."""

from __future__ import annotations

import json
import urllib.error
from pathlib import Path

import pytest

from remote_protocol.api.tokens import TokenCreated
from tests.support.server_program import call, started


def first_start(data: Path) -> None:
    """Let a server make the database."""
    with started("run", "--listen", "127.0.0.1:0", "--data-dir", data, until="listens on"):
        pass


def create(data: Path, *more: str) -> TokenCreated:
    said = call("token", "create", "--data-dir", data, "--output", "json", *more)
    assert said.returncode == 0, said.stderr
    return TokenCreated.model_validate(json.loads(said.stdout))


def test_a_token_made_offline_works_later(tmp_path: Path) -> None:
    first_start(tmp_path / "data")
    made = create(tmp_path / "data", "--role", "viewer", "--name", "v", "--expires", "90d")
    assert (made.role, made.name) == ("viewer", "v")
    assert made.expires_at
    assert round((made.expires_at - made.created_at).total_seconds()) == 90 * 86400
    with started(
        "run", "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "data", until="listens on"
    ) as server:
        assert server.get("/api/v1/jobs", made.token)["items"] == []
        beside = create(tmp_path / "data", "--role", "operator", "--name", "o")
        assert server.get("/api/v1/jobs", beside.token, body={"command": ["true"]})["id"]
        with pytest.raises(urllib.error.HTTPError) as caught:
            server.get("/api/v1/jobs", made.token, body={"command": ["true"]})
        with caught.value as error:
            assert error.code == 403


def test_a_table_for_people_and_variables_for_machines(tmp_path: Path) -> None:
    first_start(tmp_path / "data")
    said = call(
        "token",
        "create",
        REMOTE_SERVER_DATA_DIR=str(tmp_path / "data"),
        REMOTE_SERVER_TOKEN_ROLE="admin",
        REMOTE_SERVER_TOKEN_NAME="me",
    )
    rows = dict(line.split(maxsplit=1) for line in said.stdout.splitlines())
    assert (rows["name"], rows["role"], rows["expires"]) == ("me", "admin", "never")
    assert rows["token"].startswith("rpt_")


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (("--role", "king", "--name", "x"), "king"),
        (("--role", "admin", "--name", "a b"), "letters, digits"),
        (("--role", "admin", "--name", "x", "--expires", "soon"), "not a duration"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: tuple[str, ...], cause: str) -> None:
    said = call("token", "create", "--data-dir", tmp_path, *arguments)
    assert said.returncode == 2
    assert cause in said.stderr
