"""`register` and `unregister` through the command line, against a real HTTP server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from remote_agent.cli import main
from remote_agent.cli.enrol import default_name, register_first
from remote_agent.config import Config, load
from remote_agent.connection import enrolment
from remote_agent.connection.identity import load_identity
from remote_agent.local.control import ask
from tests.support.fake_http import VERSION, Answer, Asked, FakeHttp, answer_json, problem
from tests.support.ports import free_port


class Enrolling(FakeHttp):
    """Plays the server's side of enrolment: knows whom it has seen."""

    def __init__(self, port: int = 0) -> None:
        self.known: dict[str, dict] = {}
        self.refused: set[str] = set()
        self.given = "rat_own"
        super().__init__(self.route, port)

    @property
    def bearers(self) -> list[str]:
        """The tokens of all registrations so far."""
        return [
            asked.headers["Authorization"].removeprefix("Bearer ")
            for asked in self.asked
            if asked.method == "POST"
        ]

    def route(self, asked: Asked) -> Answer:
        if asked.path == "/api/v1/version":
            return answer_json(VERSION)
        if asked.method == "DELETE":
            return Answer(204)
        bearer = asked.headers.get("Authorization", "").removeprefix("Bearer ")
        if bearer in self.refused:
            return problem(401, "invalid_token", "this token is not known")
        if asked.method != "POST":
            return Answer(404)
        body = asked.json()
        same = self.known.get(body["name"]) == body["settings"]
        self.known[body["name"]] = body["settings"]
        token = self.given if bearer.startswith("rrt_") else None
        capacity = body["settings"].get("capacity", {"default": 4})
        assignment = {"queues": ["default"], "capacity": capacity}
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


def test_capacity_for_what_is_no_queue_is_warned_of(
    server: Enrolling, state: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["register", "--server", server.url, "--name", "web-7", "--capacity"]
    assert main([*words, "default=2,monitros=3"]) == 0
    assert "remote-agent: capacity for 'monitros' is never used" in capsys.readouterr().err
    assert main([*words, "default=2"]) == 0
    assert capsys.readouterr().err == ""


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


def test_the_second_time_needs_no_token(
    server: Enrolling, state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert main(["register", "--server", server.url, "--name", "n", "--queue", "a"]) == 0
    monkeypatch.delenv("REMOTE_AGENT_TOKEN")
    # What is left out stays: to the server these are the same settings.
    assert main(["register"]) == 0
    assert "already registered as n" in capsys.readouterr().out
    assert main(["register", "--queue", "a", "--queue", "b", "--label", "gpu=true"]) == 0
    assert "registered as n" in capsys.readouterr().out
    assert server.known["n"] == {"queues": ["a", "b"], "labels": {"gpu": "true"}}
    assert server.bearers == ["rrt_enrol", "rat_own", "rat_own"]


def test_a_deleted_agent_comes_back_with_the_given_token(server: Enrolling, state: Path) -> None:
    words = ["register", "--server", server.url, "--name", "n"]
    assert main(words) == 0
    before = load_identity(state)
    server.refused.add("rat_own")
    server.given = "rat_second"
    assert main(words) == 0
    after = load_identity(state)
    assert before is not None and after is not None
    assert after.token == "rat_second"
    assert after.fingerprint == before.fingerprint
    assert server.bearers == ["rrt_enrol", "rat_own", "rrt_enrol"]


def test_a_deleted_agent_without_a_token_is_told_what_it_needs(
    server: Enrolling, state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert main(["register", "--server", server.url, "--name", "n"]) == 0
    server.refused.add("rat_own")
    monkeypatch.delenv("REMOTE_AGENT_TOKEN")
    assert main(["register"]) == 4
    text = capsys.readouterr().err
    assert "this agent's own token" in text and "registration-token create" in text


def test_an_agent_token_made_beforehand_is_kept(server: Enrolling, state: Path) -> None:
    words = ["register", "--server", server.url, "--name", "n", "--token"]
    assert main([*words, "rat_made"]) == 0
    assert (load_identity(state) or pytest.fail("no identity")).token == "rat_made"
    assert main([*words, "rat_rotated"]) == 0
    assert (load_identity(state) or pytest.fail("no identity")).token == "rat_rotated"


def test_another_server_or_name_needs_replace(
    server: Enrolling, state: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["register", "--server", server.url, "--name", "n"]) == 0
    assert main(["register", "--server", server.url, "--name", "m"]) == 2
    assert "registered already, as n at" in capsys.readouterr().err
    with Enrolling() as other:
        assert main(["register", "--server", other.url]) == 2
        assert main(["register", "--server", other.url, "--name", "n", "--replace"]) == 0
        identity = load_identity(state)
        assert identity is not None and identity.server == other.url
        assert other.asked[-1].json()["replace"] is True


def test_a_damaged_identity_is_replaced_on_demand(server: Enrolling, state: Path) -> None:
    state.mkdir()
    (state / "identity.json").write_text("{")
    assert main(["register", "--server", server.url, "--name", "n"]) == 1
    assert main(["register", "--server", server.url, "--name", "n", "--replace"]) == 0
    assert load_identity(state) is not None


@pytest.mark.parametrize(
    ("flags", "variables", "used"),
    [
        (["--token", "rrt_flag"], {"REMOTE_AGENT_TOKEN": "rrt_env"}, "rrt_flag"),
        (["--token-file", "FILE"], {"REMOTE_AGENT_TOKEN": "rrt_env"}, "rrt_file"),
        (["--token", "rrt_flag"], {"REMOTE_AGENT_TOKEN_FILE": "FILE"}, "rrt_flag"),
        ([], {"REMOTE_AGENT_TOKEN_FILE": "FILE", "REMOTE_AGENT_TOKEN": ""}, "rrt_file"),
        ([], {"REMOTE_AGENT_TOKEN": "rrt_env"}, "rrt_env"),
    ],
)
def test_which_token_counts(
    server: Enrolling,
    state: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    variables: dict[str, str],
    used: str,
) -> None:
    file = tmp_path / "token"
    file.write_text("rrt_file\n")
    for name, text in variables.items():
        monkeypatch.setenv(name, text.replace("FILE", str(file)))
    flags = [flag.replace("FILE", str(file)) if flag == "FILE" else flag for flag in flags]
    assert main(["register", "--server", server.url, "--name", "n", *flags]) == 0
    assert server.bearers == [used]


def test_an_empty_token_file_is_named(
    server: Enrolling, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "token").write_text("\n")
    file = str(tmp_path / "token")
    assert main(["register", "--server", server.url, "--token-file", file]) == 2
    assert "is empty" in capsys.readouterr().err


def test_a_server_that_is_away_is_named(state: Path, capsys: pytest.CaptureFixture) -> None:
    with Enrolling() as gone:
        url = gone.url
    assert main(["register", "--server", url, "--name", "n"]) == 1
    assert f"cannot reach {url}: nothing listens at 127.0.0.1" in capsys.readouterr().err
    assert load_identity(state) is None


def test_leaving_goes_to_the_server_that_is_known(
    server: Enrolling, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["register", "--server", server.url, "--name", "n"]) == 0
    with Enrolling() as other:
        monkeypatch.setenv("REMOTE_AGENT_SERVER", other.url)
        assert main(["unregister"]) == 0
        assert other.asked == []
    asked = server.asked[-1]
    assert (asked.method, asked.path) == ("DELETE", "/api/v1/agent/registration")
    assert asked.headers["Authorization"] == "Bearer rat_own"


def test_leaving_jobs_behind_needs_force(
    server: Enrolling, state: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["register", "--server", server.url, "--name", "n"]) == 0
    (state / "attempts" / "01ARYZ6S41000000000000000A.1").mkdir(parents=True)
    assert main(["unregister"]) == 1
    assert "1 jobs run here" in capsys.readouterr().err
    assert load_identity(state) is not None
    assert main(["unregister", "--force"]) == 0
    assert load_identity(state) is None


def test_plain_http_to_elsewhere_is_refused_before_the_token_goes_out(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(enrolment, "register", lambda server, *_: asked.append(server.url))
    monkeypatch.setenv("REMOTE_AGENT_TOKEN", "rrt_enrol")
    for command in ("register", "run"):
        assert main([command, "--server", "http://10.0.0.5:8750"]) == 2
        said = capsys.readouterr().err
        assert "is not encrypted" in said and "--insecure (REMOTE_INSECURE=1)" in said
    assert not asked
    monkeypatch.setenv("REMOTE_INSECURE", "1")
    with pytest.raises(AttributeError):  # nothing is answered here
        main(["register", "--server", "http://10.0.0.5:8750"])
    assert asked == ["http://10.0.0.5:8750"]


def test_the_hosts_name_becomes_the_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Büro 7.example")
    assert default_name() == "B-ro-7.example"
    monkeypatch.setattr("socket.gethostname", lambda: "---")
    assert default_name() == "agent"


def test_the_environment_alone_is_enough_to_run(
    server: Enrolling, state: Path, tmp_path: Path
) -> None:
    """It enrols on the first start, runs, obeys the command line, leaves on SIGTERM."""
    token = tmp_path / "token"
    token.write_text("rrt_enrol\n")
    environ = {
        **os.environ,
        "REMOTE_AGENT_SERVER": server.url,
        "REMOTE_AGENT_TOKEN": "",
        "REMOTE_AGENT_TOKEN_FILE": str(token),
        "REMOTE_AGENT_NAME": "container-1",
        "REMOTE_AGENT_QUEUES": "a,b",
        "REMOTE_AGENT_CAPACITY": "default=2,a=1",
    }
    command = [sys.executable, "-m", "remote_agent", "run"]
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            wait_until(lambda: main(["status", "-o", "json"]) == 0)
            assert main(["pause", "--comment", "new disk"]) == 0
            document = ask(state, {"do": "status"})
            assert (document["name"], document["paused"]) == ("container-1", True)
            assert "new disk" in document["condition"]
            assert main(["resume"]) == 0
            assert ask(state, {"do": "status"})["paused"] is False
        finally:
            process.terminate()
            said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert server.known["container-1"] == {
        "queues": ["a", "b"],
        "capacity": {"default": 2, "a": 1},
    }
    assert "rat_own" not in said and "rrt_enrol" not in said
    assert main(["status"]) == 1


def test_the_token_does_not_stay_with_the_process_and_a_server_may_come_later(
    state: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "remote_agent", "run", "--token", "rrt_enrol", "--name", "c"]
    environ = {
        **os.environ,
        "REMOTE_AGENT_TOKEN": "rrt_enrol",
        "REMOTE_AGENT_SERVER_MAX_RECONNECT_WAIT": "1s",
    }
    output = tmp_path / "output"
    port = free_port()
    with (
        output.open("wb") as log,
        subprocess.Popen(
            [*command, "--server", f"http://127.0.0.1:{port}"], env=environ, stdout=log, stderr=log
        ) as process,
    ):
        try:
            wait_until(lambda: b"trying again" in output.read_bytes())
            server = Enrolling(port)
            with server:
                wait_until(lambda: main(["status", "-o", "json"]) == 0)
                assert "c" in server.known
            for place in ("environ", "cmdline"):
                text = Path(f"/proc/{process.pid}/{place}").read_bytes()
                assert b"rrt_" not in text and b"REMOTE_AGENT_TOKEN" not in text
        finally:
            process.terminate()
            process.wait(60)
    assert process.returncode == 0, output.read_text()


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def test_a_registered_host_needs_no_token_any_more(
    server: Enrolling, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["register", "--server", server.url, "--name", "n"]) == 0
    started: list[Path] = []

    def run(config: Config, *_: object, **__: object) -> int:
        started.append(config.state_dir)
        return 0

    monkeypatch.setattr("remote_agent.app.start.run", run)
    monkeypatch.delenv("REMOTE_AGENT_TOKEN")
    monkeypatch.setenv("REMOTE_AGENT_TOKEN_FILE", str(state / "used-up-and-unmounted"))
    assert main(["run"]) == 0
    assert started == [state]
    with Enrolling() as other:  # needed again
        assert main(["run", "--server", other.url]) == 2
    assert started == [state]


def test_a_new_server_in_the_environment_is_joined_when_there_is_a_token(
    server: Enrolling, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["register", "--server", server.url, "--name", "n"]) == 0
    before = load_identity(state)
    config = partial(load, None, state_dir=state)
    register_first(config({})[0])
    assert load_identity(state) == before
    with Enrolling() as other:
        register_first(config({"REMOTE_AGENT_SERVER": other.url})[0])
        after = load_identity(state)
        assert after is not None and after.server == other.url


def test_a_place_that_cannot_be_written_costs_no_name_and_no_token(
    server: Enrolling, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("REMOTE_AGENT_STATE_DIR", "/proc/none")
    monkeypatch.setenv("REMOTE_AGENT_TOKEN", "rrt_enrol")
    assert main(["register", "--server", server.url, "--name", "web-7"]) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert server.bearers == []


def test_a_registration_that_was_cut_short_is_repeated_as_the_same_host(
    server: Enrolling, state: Path
) -> None:
    words = ["register", "--server", server.url, "--name", "web-7"]
    server.refused.add("rrt_enrol")
    assert main(words) == 4
    server.refused.clear()
    assert main(words) == 0
    first, second = [asked.json() for asked in server.asked if asked.method == "POST"]
    assert first["fingerprint"] == second["fingerprint"]
    identity = load_identity(state)
    assert identity is not None and identity.fingerprint == first["fingerprint"]
    assert [path.name for path in state.iterdir()] == ["identity.json"]
