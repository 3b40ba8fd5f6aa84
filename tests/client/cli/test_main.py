"""The root of `remotectl`: exit codes and sentences for whatever goes wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from remote_client.cli.main import COMMANDS, root
from remote_protocol import extensions
from tests.client.conftest import call
from tests.support.extensions import installed, toy
from tests.support.fake_api import ID, TOKEN, Answer, FakeApi, cri_log, job_view, problem
from tests.support.ports import free_port

__all__ = ["toy"]


def test_without_a_server_it_says_what_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("job", "list") == 2
    err = capsys.readouterr().err
    assert err.startswith("remotectl: No server is named") and "REMOTE_URL" in err


def test_an_unreachable_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REMOTE_TOKEN", TOKEN)
    assert call("--url", f"http://127.0.0.1:{free_port()}", "job", "list") == 1
    assert "Cannot reach" in capsys.readouterr().err


def test_wrong_kinds_of_token(
    api: FakeApi, ctl: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REMOTE_TOKEN", "rat_" + "x" * 43)
    assert ctl("job", "list") == 2
    assert "agent token" in capsys.readouterr().err


def test_a_problem_is_a_sentence(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("GET", "/queues/x", problem(404, "not_found", "There is no queue 'x'."))
    assert ctl("queue", "show", "x") == 1
    assert capsys.readouterr().err == "remotectl: There is no queue 'x'.\n"


def test_a_token_file(
    api: FakeApi, ctl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REMOTE_TOKEN")
    file = tmp_path / "token"
    assert ctl("--token-file", str(file), "queue", "list") == 2
    file.write_text(TOKEN + "\n")
    api.on("GET", "/queues", {"items": []})
    assert ctl("--token-file", str(file), "queue", "list") == 0
    assert api.calls[-1].headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("arguments", [("jump",), ("job", "list", "--limit", "0"), ("run",)])
def test_usage_errors_exit_2(ctl: Any, arguments: tuple[str, ...]) -> None:
    assert ctl(*arguments) == 2


SLOW = (
    "pydantic",
    "httpx",
    "rich",
    "asyncio",
    "platformdirs",
    "http.client",
    "urllib.request",
    "ssl",
    "shutil",
    "queue",
    "encodings.idna",
)
"""Libraries that take long to load: none of them stands between a person and a prompt."""
# fmt: off
OWN = frozenset([
    "__main__", "calls", "cli", "config", "connection", "errors", "group_calls", "inputs", "logs",
    "modes", "network", "outage", "paths", "proxies", "streams", "transport", "webhook_calls",
])
OWN_COMMAND = frozenset([
    "completed", "group_options", "hints", "interrupts", "job_spec", "main", "options", "output",
    "python_job", "run", "session", "stdin", "submitted", "watch",
])
SHARED = frozenset(["cri", "extensions", "faults", "limits", "printable", "units", "urls"])
# fmt: on
OTHERS = frozenset(("click", "h11"))
"""All that `remotectl run` may load for a job: a name is added only for what each job needs."""


def loaded(api: FakeApi, arguments: list[str]) -> set[str]:
    """The modules that a command has loaded at its end, in a fresh interpreter."""
    api.on("GET", "/jobs", {"items": [job_view()]})
    api.on("GET", "/agents", {"items": []})
    api.on("POST", "/jobs", Answer(job_view(), 201))
    api.on("GET", f"/jobs/{ID}", job_view(state="succeeded", attempt=1))
    api.on("GET", f"/jobs/{ID}/log", cri_log(("stdout", b"x\n")))
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('loaded', *sys.modules, file=sys.stderr))\n"
        "from remote_client.__main__ import main\n"
        f"sys.argv = ['remotectl', *{arguments!r}]\n"
        "main()\n"
    )
    env = {**os.environ, "REMOTE_URL": api.url, "REMOTE_TOKEN": TOKEN}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=env, check=True
    )
    first, *names = done.stderr.splitlines()[-1].split()
    assert first == "loaded" and "click" in names
    return set(names)


@pytest.mark.parametrize(
    "arguments", [["--version"], ["job", "list"], ["run", "--", "true"], ["agent", "list"]]
)
def test_nothing_slow_is_loaded(api: FakeApi, arguments: list[str]) -> None:
    assert set(SLOW) & loaded(api, arguments) == set()


def test_a_job_at_the_prompt_loads_what_it_needs_and_no_more(api: FakeApi) -> None:
    names = loaded(api, ["run", "--", "true"])
    before = loaded_by_python()
    others = {name.partition(".")[0] for name in names - before} - sys.stdlib_module_names
    assert others - {"__main__"} == OTHERS | {"remote_client", "remote_protocol"}
    own = {name.partition(".")[2] for name in names if name.startswith("remote_client.")}
    assert own == OWN | {f"cli.{name}" for name in OWN_COMMAND}
    shared = {name.partition(".")[2] for name in names if name.startswith("remote_protocol.")}
    assert shared == SHARED


def loaded_by_python() -> set[str]:
    """What this installation of Python has loaded before a program begins."""
    program = "import sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_commands_run_with_the_collector_on_and_all_that_was_loaded_out_of_it() -> None:
    program = (
        "import atexit, gc, sys; from remote_client.__main__ import main; "
        "atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() > 10_000)); main()"
    )
    command = [sys.executable, "-c", program, "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "True True"


def test_the_table_of_commands_is_that_of_the_modules() -> None:
    context = click.Context(root)
    for name, (_, _, words) in COMMANDS.items():
        command = root.get_command(context, name)
        assert command is not None and command.name == name
        assert words.rstrip(".").split(" and of ")[0] in command.get_short_help_str(200), name


@pytest.mark.usefixtures("toy")
def test_an_extension_has_a_command(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("POST", "/jobs", Answer({"id": ID}, 201))
    assert ctl("toy", "good day") == 0
    assert capsys.readouterr().out == f"{ID}\n"
    assert call("--help") == 0
    shown = capsys.readouterr().out
    assert "Commands of extensions:" in shown and "toy  " in shown and "Greet from" in shown
    assert call("toy", "--help") == 0
    assert "GREETING" in capsys.readouterr().out


def test_a_broken_extension_says_why_and_leaves_the_others_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / extensions.NAMESPACE
    folder.mkdir()
    (folder / "half.py").write_text("import nothing_such")
    with installed(tmp_path):
        assert call("half") == 1
        assert capsys.readouterr().err.startswith("remotectl: the extension half cannot be loaded")
        assert call("--help") == 0
        assert "half cannot be loaded" in " ".join(capsys.readouterr().out.split())


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--help") == 0
    assert call("--version") == 0
    assert "remotectl" in capsys.readouterr().out


def test_a_reader_that_leaves_hears_no_complaint(api: FakeApi) -> None:
    api.on("GET", f"/jobs/{ID}/log", cri_log(("stdout", b"x" * 99 + b"\n")) * 20_000)
    env = {**os.environ, "REMOTE_URL": api.url, "REMOTE_TOKEN": TOKEN}
    command = [sys.executable, "-m", "remote_client", "job", "logs", ID]
    with subprocess.Popen(command, stdout=-1, stderr=-1, env=env) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_a_full_disk_is_a_sentence(api: FakeApi) -> None:
    api.on("GET", f"/jobs/{ID}/log", cri_log(("stdout", b"x\n")))
    env = {**os.environ, "REMOTE_URL": api.url, "REMOTE_TOKEN": TOKEN}
    command = [sys.executable, "-m", "remote_client", "job", "logs", ID]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, env=env, timeout=30, check=False
        )
    assert done.returncode == 1
    assert done.stderr == b"remotectl: standard output: No space left on device\n"


def closed(shell: str, api: FakeApi) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "REMOTE_URL": api.url, "REMOTE_TOKEN": TOKEN}
    program = f'exec "{sys.executable}" -m remote_client {shell}'
    return subprocess.run(["sh", "-c", program], capture_output=True, env=env, check=False)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("job list >&-", 1),
        ("job list -o json >&-", 1),
        ("job list -q >&-", 1),
        ("job show @last >&-", 1),
        (f"job logs {ID} >&-", 1),
        ("run --detach -- true >&-", 255),
        ("run -- true >&-", 255),
    ],
)
def test_a_closed_stdout_is_a_sentence(api: FakeApi, line: str, code: int) -> None:
    alive(api)
    done = closed(line, api)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == code, lines
    assert lines[-1].startswith("remotectl: stdout is closed: there is nowhere to print to")


@pytest.mark.parametrize(
    "line", ["job list 2>&-", "job list <&-", "run -- true 2>&-", "run -- true <&- 2>&-",
             "job list --bad 2>&-", "job show NONE >&- 2>&- <&-", "--help >&-"],
)  # fmt: skip
def test_other_closed_streams_do_no_harm(api: FakeApi, line: str) -> None:
    alive(api)
    done = closed(line, api)
    assert b"Traceback" not in done.stderr + done.stdout
    if "job list 2" in line or "job list <" in line:
        assert (done.returncode, ID[-8:].encode() in done.stdout) == (0, True)
    if line.startswith("run"):
        assert (done.returncode, done.stdout) == (0, b"x\n")
    # A socket got no number that words are written to.
    assert all(said.method in ("GET", "POST") for said in api.calls)


def alive(api: FakeApi) -> None:
    api.on("GET", "/jobs", {"items": [job_view()]})
    api.on("POST", "/jobs", Answer(job_view(), 201))
    api.on("GET", f"/jobs/{ID}", job_view(state="succeeded", attempt=1))
    api.on("GET", f"/jobs/{ID}/timeline", {"items": []})
    api.on("GET", f"/jobs/{ID}/log", cri_log(("stdout", b"x\n"), ("stderr", b"y\n")))


def test_an_argument_that_is_no_text(api: FakeApi) -> None:
    env = {**os.environ, "REMOTE_URL": api.url, "REMOTE_TOKEN": TOKEN}
    command: list[Any] = [sys.executable, "-m", "remote_client", "run", "--", "ls", b"caf\xe9"]
    done = subprocess.run(command, capture_output=True, env=env, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(b"remotectl: Argument 4 is not UTF-8: 'caf\\udce9'. Jobs are")
    assert api.calls == []


def commands(group: click.Group, name: str = "remotectl") -> Iterator[tuple[str, click.Command]]:
    yield name, group
    for word in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), word)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


@pytest.mark.parametrize(("name", "command"), list(commands(root)))
def test_every_help_has_an_example_and_words_for_each_option(
    name: str, command: click.Command
) -> None:
    text = f"{command.help}\n{command.epilog}"
    # Global options stand between the program and the command: remotectl --url URL login.
    line = name.replace(" ", r" (--\S+ \S+ )?")
    assert re.search(rf"^  .*{line}", text, re.MULTILINE), text
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert [option.name for option in options if not option.help] == []
