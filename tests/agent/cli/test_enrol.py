"""`register` and `unregister` through the command line, against a real HTTP server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from remote_agent.cli import main
from remote_agent.identity import load_identity
from tests.support.fake_http import VERSION, Answer, Asked, FakeHttp, answer_json


class Enrolling(FakeHttp):
    """Plays the server's side of enrolment: knows whom it has seen."""

    def __init__(self) -> None:
        self.known: dict[str, dict] = {}
        super().__init__(self.route)

    def route(self, asked: Asked) -> Answer:
        if asked.path == "/api/v1/version":
            return answer_json(VERSION)
        if asked.method == "DELETE":
            return Answer(204)
        body = asked.json()
        same = self.known.get(body["name"]) == body["settings"]
        self.known[body["name"]] = body["settings"]
        token = "rat_own" if asked.headers["Authorization"].startswith("Bearer rrt_") else None
        assignment = {"queues": ["default"], "capacity": {"default": 4}}
        return answer_json(
            {"name": body["name"], "token": token, "assignment": assignment, "changed": not same}
        )


@pytest.fixture
def server():
    with Enrolling() as fake:
        yield fake


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REMOTE_AGENT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("REMOTE_AGENT_TOKEN", "rrt_enrol")
    return tmp_path / "state"


def test_registering_twice_changes_nothing(
    server: Enrolling, state: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["register", "--server", server.url, "--name", "web-7", "--capacity", "4"]
    assert main(words) == 0
    identity = load_identity(state)
    assert identity is not None and identity.token == "rat_own" and identity.name == "web-7"
    assert main(words) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert load_identity(state) == identity
    # The second time the agent spoke with its own token: no use of the other one was spent.
    assert server.asked[-1].headers["Authorization"] == "Bearer rat_own"


def test_everything_that_is_missing_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("REMOTE_AGENT_STATE_DIR", str(tmp_path))
    assert main(["register"]) == 2
    text = capsys.readouterr().err
    assert "--server" in text and "--token-file" in text
    assert main(["run"]) == 2
    text = capsys.readouterr().err
    assert "REMOTE_AGENT_SERVER" in text and "REMOTE_AGENT_TOKEN" in text


def test_the_token_never_comes_out(
    server: Enrolling, state: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["register", "--server", server.url, "--name", "n", "-o", "json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["name"] == "n"
    assert "rat_own" not in out + err and "rrt_enrol" not in out + err


def test_an_unreadable_token_file_is_named(
    server: Enrolling, state: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["register", "--server", server.url, "--token-file", str(state / "no")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_unregister_forgets_the_identity(
    server: Enrolling, state: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["register", "--server", server.url, "--name", "n"]) == 0
    assert main(["unregister"]) == 0
    assert load_identity(state) is None
    assert main(["unregister"]) == 0
    assert "nothing to do" in capsys.readouterr().out
