"""The commands that need no running agent, and what they say when there is none."""

from __future__ import annotations

import gc
import json
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from remote_agent import __version__
from remote_agent.app import start
from remote_agent.cli import main
from remote_agent.connection.identity import Identity, save_identity
from remote_agent.errors import RESTART
from remote_agent.journal.folder import unsettled


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REMOTE_AGENT_STATE_DIR", str(tmp_path))
    return tmp_path


def test_version_imports_nothing_heavy() -> None:
    probe = (
        "import sys; from remote_agent.cli import main; main(['version']);"
        "assert not {'pydantic', 'asyncio', 'websockets'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"remote-agent {__version__}\n"


def test_questions_to_a_running_agent_load_no_journal() -> None:
    probe = (
        "import sys; import remote_agent.cli.parser;"
        "assert not {'remote_agent.journal', 'remote_protocol.messages'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_commands_run_with_the_collector_on() -> None:
    gc.disable()
    try:
        assert main(["status"]) == 1
        assert gc.isenabled() and gc.get_freeze_count()
    finally:
        gc.enable()
        gc.unfreeze()


def test_status_without_an_agent_says_so(capsys: pytest.CaptureFixture) -> None:
    assert main(["status"]) == 1
    assert "remote-agent run" in capsys.readouterr().err
    assert main(["status", "-o", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["running"], document["registered"], document["attempts"]) == (False, False, [])


def test_a_restart_whose_program_is_gone_goes_on_in_the_same_process(
    monkeypatch: pytest.MonkeyPatch, state: Path, capsys: pytest.CaptureFixture
) -> None:
    save_identity(state, Identity("http://127.0.0.1:1", "web-7", "rat_x"))
    monkeypatch.setattr(sys, "executable", str(state / "gone"))
    codes = [RESTART, RESTART, 0]
    monkeypatch.setattr(start, "run", lambda *_, **__: codes.pop(0))
    assert main(["run"]) == 0 and not codes
    assert "the present one goes on" in capsys.readouterr().err


def test_a_service_of_windows_is_started_again_by_its_manager(
    monkeypatch: pytest.MonkeyPatch, state: Path
) -> None:
    save_identity(state, Identity("http://127.0.0.1:1", "web-7", "rat_x"))
    monkeypatch.setattr(sys, "argv", ["remote-agent", "_service"])
    monkeypatch.setattr(start, "run", lambda *_, **__: RESTART)
    assert main(["run"]) == RESTART == 3


@pytest.mark.parametrize("text", ["0.5s", "soon", "-1s"])
def test_an_idle_timeout_that_makes_no_sense(text: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["run", f"--idle-timeout={text}"]) == 2
    assert "--idle-timeout: " in capsys.readouterr().err


def test_a_check_without_an_agent(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert main(["status", "--check", "live"]) == 1
    assert capsys.readouterr().out.startswith("not live: no agent runs on")
    # One that waits to be registered answers nobody; its file says that it is alive.
    monkeypatch.setenv("REMOTE_AGENT_LIVENESS_FILE", str(state / "live"))
    (state / "live").write_text("1\n")
    assert main(["status", "--check", "live"]) == 0
    assert capsys.readouterr().out == "live: the agent waits to be registered\n"
    monkeypatch.setenv("REMOTE_AGENT_CHECK", "ready")
    assert main(["status", "-o", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["check"], document["ok"]) == ("ready", False)


def test_status_without_an_agent_shows_what_lies_on_the_disk(
    state: Path, capsys: pytest.CaptureFixture
) -> None:
    save_identity(state, Identity("http://h:1", "web-7", "rat_secret"))
    a, b, c = (f"01ARYZ6S41000000000000000{letter}" for letter in "ABC")
    kept = {f"{a}.1": (), f"{b}.2": ("exit.json",), f"{c}.1": ("exit.json", "settled")}
    for attempt, files in {**kept, ".spare.3": (), f".new.{c}.2": (), ".trash": ()}.items():
        (state / "attempts" / attempt).mkdir(parents=True)
        for name in files:
            (state / "attempts" / attempt / name).write_text("")
    assert unsettled(state) == ([f"{a}.1"], [f"{b}.2"])
    assert main(["status"]) == 1
    text = capsys.readouterr().out
    assert "not running" in text and "web-7" in text
    assert f"{a} attempt 1 running" in text and f"{b} attempt 2 ended" in text
    assert main(["status", "-o", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["name"], document["server"]) == ("web-7", "http://h:1")
    assert "rat_secret" not in json.dumps(document)


@pytest.mark.parametrize("words", [["pause"], ["resume"], ["drain", "--deadline", "1h"]])
def test_wishes_need_a_running_agent(words: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main(words) == 1
    assert "no agent runs" in capsys.readouterr().err


def test_a_bad_deadline_is_a_usage_error(capsys: pytest.CaptureFixture) -> None:
    assert main(["drain", "--deadline", "soon"]) == 2
    assert "not a duration" in capsys.readouterr().err


def test_config_shows_what_holds_and_where_it_is_from(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('[agent]\nname = "web-7"\n')
    assert main(["config", "--config", str(file)]) == 0
    assert f'name = "web-7"  # {file}:2' in capsys.readouterr().out
    assert main(["config", "--config", str(file), "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["agent"]["name"] == "web-7"


def test_a_bad_configuration_ends_with_two(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("[agent]\nnome = 1\n")
    assert main(["config", "--config", str(file)]) == 2
    assert "did you mean name?" in capsys.readouterr().err


def test_config_says_what_register_has_agreed(state: Path, capsys: pytest.CaptureFixture) -> None:
    save_identity(
        state,
        Identity(
            "http://h:1",
            "web-7",
            "rat_secret",
            proxy="http://me:hunter2@p:1",
            settings={"queues": ["a"], "capacity": {"default": 4}},
        ),
    )
    assert main(["config"]) == 0
    text = capsys.readouterr().out
    assert 'url = "http://h:1"  # register' in text
    assert 'queues = ["a"]  # register' in text
    assert 'capacity = { "default" = 4 }  # register' in text
    assert 'on_stop = "leave"  # default' in text
    assert 'retention = "7d"  # default' in text and 'max_reconnect_wait = "1m"' in text
    assert "hunter2" not in text and "rat_secret" not in text
    shown = tomllib.loads("\n".join(line for line in text.splitlines() if " =  #" not in line))
    assert shown["agent"]["capacity"] == {"default": 4}
    assert main(["config", "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["origins"]["server.url"] == "register"
    assert document["server"]["proxy"] == "http://***@p:1"


def test_every_bad_setting_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("[agent]\nnome = 1\n[limits]\nmax_timeout = 'soon'\n")
    monkeypatch.setenv("REMOTE_AGENT_CONFIG", str(file))
    monkeypatch.setenv("REMOTE_AGENT_SERVER", "jobs.example.com")
    assert main(["run"]) == 2
    text = capsys.readouterr().err
    assert f"{file}:2: [agent] nome" in text
    assert f"{file}:4: [limits] max_timeout" in text
    assert "REMOTE_AGENT_SERVER: [server] url" in text


def test_a_reader_that_goes_away_is_no_error(state: Path) -> None:
    (state / "logs").mkdir()
    (state / "logs" / "agent.log").write_bytes(b"x" * 1_000_000)
    command = [sys.executable, "-m", "remote_agent", "logs"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_ctrl_c_is_quiet(state: Path) -> None:
    (state / "logs").mkdir()
    (state / "logs" / "agent.log").write_bytes(b"hello\n")
    command = [sys.executable, "-m", "remote_agent", "logs", "-f"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"hello\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_the_shims_entry_of_a_frozen_binary_imports_nothing_heavy() -> None:
    probe = (
        "import sys; from remote_agent.cli import main; code = main(['_shim']);"
        "assert not {'pydantic', 'asyncio', 'structlog'} & set(sys.modules); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_traceback(tmp_path: Path, closed: str) -> None:
    command = f"'{sys.executable}' -m remote_agent status --state-dir '{tmp_path}'"
    script = f"exec {closed}; {command}; exit $?"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize("word", ["version", "--version", "-V"])
def test_the_version_by_any_name(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 0 and capsys.readouterr().out.startswith("remote-agent ")


def test_help_as_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help"]) == 0 and "register" in capsys.readouterr().out


def test_a_full_disk_behind_the_output_is_a_sentence(state: Path) -> None:
    command = [sys.executable, "-m", "remote_agent", "config"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    said = b"remote-agent: standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, said)
