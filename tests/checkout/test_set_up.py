"""`make setup`: what an interrupted set-up leaves is mended, by real interruptions of a real one.

A small checkout takes the place of this one: its distributions have a build backend of their own,
which can be made to wait, and it needs no package from anywhere.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DISTS = ("protocol", "agent", "server", "client", "datahub")
BACKEND = """
import os, pathlib, time, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    name = pathlib.Path.cwd().name
    marker = pathlib.Path.cwd().parent / "building"
    ends = time.monotonic() + 300
    while (pathlib.Path.cwd().parent / "wait").exists() and time.monotonic() < ends:
        marker.touch()
        time.sleep(0.05)
    about = f"remote_{name}-1.dist-info"
    with zipfile.ZipFile(pathlib.Path(folder) / f"remote_{name}-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"remote_{name}.pth", str(pathlib.Path.cwd()))
        wheel.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\\nName: remote-{name}\\nVersion: 1\\n"
        )
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        )
        wheel.writestr(f"{about}/RECORD", "")
    return f"remote_{name}-1-py3-none-any.whl"

build_wheel = build_editable
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the real set-up program and small distributions."""
    (tmp_path / "requirements").mkdir()
    shutil.copy(ROOT / "requirements" / "set_up.py", tmp_path / "requirements")
    for kind in ("run", "dev"):
        (tmp_path / "requirements" / f"{kind}.txt").write_text("# nothing\n")
    for dist in DISTS:
        (tmp_path / dist).mkdir()
        (tmp_path / dist / "backend.py").write_text(BACKEND)
        (tmp_path / dist / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        )
    return tmp_path


def start(
    checkout: Path,
    kind: str = "run",
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.STDOUT,
) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    line: list[str | Path] = [
        sys.executable,
        checkout / "requirements" / "set_up.py",
        checkout / ".venv",
        "1",
        kind,
    ]
    return subprocess.Popen(
        line, text=True, env=environment, start_new_session=True, stdout=stdout, stderr=stderr
    )


def finish(checkout: Path, kind: str = "run") -> str:
    with start(checkout, kind) as process:
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return str(said)


def until(condition: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    """Wait for a condition, while this process runs."""
    ends = time.monotonic() + 120
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < ends
        time.sleep(0.002)


def members(group: int) -> list[int]:
    """Living processes of the session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == group and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def works(venv: Path) -> None:
    """pip is there, and all five distributions are."""
    listed = subprocess.run(
        [venv / "bin" / "python", "-m", "pip", "list", "--disable-pip-version-check"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert all(f"remote-{dist}" in listed for dist in DISTS), listed


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
def test_an_interrupted_set_up_is_mended_by_the_next(checkout: Path) -> None:
    venv = checkout / ".venv"
    packages = venv / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    (checkout / "wait").touch()
    moments: list[tuple[signal.Signals, Callable[[], object]]] = [
        (signal.SIGINT, (venv / "pyvenv.cfg").exists),
        (signal.SIGKILL, (packages / "pip" / "_internal").exists),
        (signal.SIGTERM, (checkout / "building").exists),
    ]
    for number, reached in moments:
        shutil.rmtree(venv, ignore_errors=True)
        with start(checkout) as process:
            until(reached, process)
            process.send_signal(number)
            # A power cut takes everything.
            while number is signal.SIGKILL and (left := members(process.pid)):
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
            said, _ = process.communicate(timeout=120)
        if number is not signal.SIGKILL:
            assert process.returncode == 130
            assert "interrupted; repeat the command" in said and "Traceback" not in said, said
        # What it started ends with it; a killed process may take a moment to be gone.
        until(lambda group=process.pid: not members(group))  # type: ignore[misc]
        assert not list(venv.glob(".ready-*"))
    (checkout / "wait").unlink()
    # The rest of the interrupted one has no distribution, perhaps half a pip: it is made anew.
    assert "set-up 3/3" in finish(checkout)
    works(venv)
    assert (venv / ".ready-run-1").exists()


def test_from_nothing_on_a_terminal_beside_another_one_and_again(checkout: Path) -> None:
    venv, marks = checkout / ".venv", (checkout / ".venv" / ".ready-run-1", ".ready-dev-1")
    main, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    wait, seen = checkout / "wait", b""
    wait.touch()
    with start(checkout, stdout=terminal, stderr=terminal) as first:
        os.close(terminal)
        # The seconds pass on the terminal.
        while not re.search(rb"\r\x1b\[Kset-up 3/3: \D+ distributions \D+ \.\.\. [1-9]\d* s", seen):
            seen += os.read(main, 65536)
        with start(checkout) as second:
            # The second one waits, and finds everything done.
            assert second.stdout is not None
            said = second.stdout.readline()
            assert said == "set-up: waiting for another one in this checkout\n"
            wait.unlink()
            seen += drained(main)
            assert first.wait(300) == 0
            said, _ = second.communicate(timeout=300)
    assert (second.returncode, said) == (0, "")
    works(venv)
    # What was counted is replaced by what it took.
    assert b"\r\x1b[Kset-up 1/3: a virtual environment in .venv ... " in seen
    assert re.search(
        rb"\r\x1b\[Kset-up 3/3: the five distributions of this checkout: \S+ s\r\n", seen
    )
    # What is whole is brought up to date where it is.
    mine = venv / "mine"
    mine.touch()
    said = finish(checkout, "dev")
    assert "set-up 1/1" in said and all((venv / mark).exists() for mark in marks)
    said = finish(checkout)
    assert "set-up 2/2" in said and "virtual environment" not in said and mine.exists()
    # With new requirements of the programs, the tools are looked at again, too.
    assert [(venv / mark).exists() for mark in marks] == [True, False]
    # A failure says why, and what to do; what it leaves is not taken for whole.
    (checkout / "requirements" / "run.txt").write_text("nowhere @ file:///nowhere.whl\n")
    with start(checkout) as failed:
        said, _ = failed.communicate(timeout=300)
    assert failed.returncode == 1 and not list(venv.glob(".ready-*"))
    assert "ERROR: " in said and "network" in said and "Traceback" not in said


def drained(descriptor: int) -> bytes:
    """All that is written to a terminal, until its other side is closed."""
    said = b""
    with contextlib.suppress(OSError):
        while piece := os.read(descriptor, 65536):
            said += piece
    os.close(descriptor)
    return said


def test_whole_is_what_has_a_stamp_and_an_interpreter(tmp_path: Path) -> None:
    setup = program().SetUp(tmp_path, "1")
    assert not setup.whole()
    setup.stamp("run").touch()
    assert not setup.whole()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/nowhere")
    assert not setup.whole()
    (tmp_path / "bin" / "python").unlink()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    assert setup.whole()
    # A copy of the checkout has another key.
    assert not program().SetUp(tmp_path, "2").whole()


def test_without_a_terminal_long_steps_say_so_from_time_to_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    progress = program().Progress(2)
    progress.begin("packages")
    for clock[0] in (101.0, 111.0, 112.0, 123.5):
        progress.tick("sqlalchemy")
    progress.end()
    assert capsys.readouterr().err.splitlines() == [
        "set-up 1/2: packages ...",
        "set-up 1/2: packages ... 11 s  sqlalchemy",
        "set-up 1/2: packages ... 24 s  sqlalchemy",
        "set-up 1/2: packages: 23.5 s",
    ]


PIP = """#!/bin/sh
# Fails as often as the file says, in the words of the other one.
left=$(cat {folder}/failures)
[ "$left" = 0 ] && exit 0
echo $((left - 1)) >{folder}/failures
cat {folder}/words
exit 1
"""


@pytest.mark.parametrize(
    ("words", "failures", "tries"),
    [
        ("ERROR: HTTP error 503 while getting https://index.example/x.whl", 2, 3),
        ("ERROR: Exception:\n  ReadTimeoutError: Read timed out.", 3, 4),
        ("ERROR: No matching distribution found for x==1", 9, 4),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", 9, 1),
    ],
)
def test_what_an_index_fails_to_answer_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, failures: int, tries: int
) -> None:
    module, waited = program(), list[float]()
    monkeypatch.setattr(time, "sleep", waited.append)
    setup, progress = module.SetUp(tmp_path, "1"), module.Progress(1)
    setup.python.parent.mkdir()
    setup.python.write_text(PIP.format(folder=tmp_path))
    setup.python.chmod(0o755)
    (tmp_path / "words").write_text(f"{words}\n")
    (tmp_path / "failures").write_text(str(failures))
    progress.begin("packages")
    if failures < tries:
        setup._pip(progress, "x")
    else:
        with pytest.raises(module.Failed, match="ERROR: "):
            setup._pip(progress, "x")
    assert waited == [5.0, 15.0, 45.0][: tries - 1]


def test_a_folder_of_somebody_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter").touch()
    line: list[str | Path] = [sys.executable, ROOT / "requirements" / "set_up.py"]
    said = subprocess.run(
        [*line, tmp_path, "1", "run"], capture_output=True, text=True, check=False
    )
    assert said.returncode == 1 and "VENV=" in said.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["letter"]


def program() -> Any:
    """The set-up program as a module; it is no package."""
    specification = importlib.util.spec_from_file_location(
        "set_up", ROOT / "requirements" / "set_up.py"
    )
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
