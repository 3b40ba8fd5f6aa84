"""The program that prepares an environment and becomes the job: a process as jobs have it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_agent.execution.interpreters import NOT_PREPARED
from remote_agent.planning import environment
from tests.support.stack import until
from tests.support.wheels import make_wheel

TIMEOUT = 300
"""Seconds: venv and pip take four of a whole processor for an environment, and a busy machine gives
a small part of one."""
pytestmark = pytest.mark.timeout(TIMEOUT + 60)

MODULE = "def main():\n    print('greetings')\n"
ENV = {"PATH": "/usr/bin:/bin", "PIP_INDEX_URL": "http://127.0.0.1:9/", "UV_INDEX_URL": "x"}
UV = """#!/bin/sh
echo "$@" >> "$TMPDIR/uv.log"
env | grep -c '^UV_' >> "$TMPDIR/uv.log"
case "$*" in *" venv "*) for p; do :; done; exec {python} -I -m venv --without-pip "$p";; esac
[ -z "$FAILS" ] && exit 0
printf '  × No solution found when resolving dependencies:\\n  ╰─▶ Because a was not found, no.\\n'
exit 1
"""


class Job:
    """One job's folder, and its first process. Environments are made without pip where possible:
    that takes a tenth of the time."""

    def __init__(self, root: Path, name: str, **settings: Any) -> None:
        self.home = root / name
        self.home.mkdir()
        shutil.copy(environment.__file__, self.home / "environment.py")
        given = {
            "folder": str(root / "environments"),
            "failure": str(self.home / "failed"),
            "requirements": ["greet==1.0"],
            "index_url": None,
            "find_links": str(root / "wheels"),
            "netrc": None,
            "offline": True,
            **settings,
        }
        (self.home / "environment.json").write_text(json.dumps(given))
        self.env = {**ENV, "TMPDIR": str(self.home)}

    def start(self, program: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-I", self.home / "environment.py", "-u", "-c", program],
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, program: str) -> tuple[int, str, str]:
        process = self.start(program)
        out, err = process.communicate(b"typed", timeout=TIMEOUT)
        return process.returncode, out.decode(), err.decode()

    def failed(self) -> str:
        return (self.home / "failed").read_text()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_wheel(tmp_path / "wheels", "greet", "1.0", MODULE)
    return tmp_path


@pytest.fixture
def uv(root: Path) -> Iterator[str]:
    """A PATH with a uv on it that notes how it is called."""
    (root / "bin").mkdir()
    program = root / "bin" / "uv"
    program.write_text(UV.replace("{python}", sys.executable))
    program.chmod(0o755)
    yield f"{root / 'bin'}:/usr/bin:/bin"


def places(root: Path) -> list[Path]:
    return [path for path in (root / "environments").glob("*/*") if path.is_dir()]


def test_it_is_prepared_once_and_becomes_the_job(root: Path) -> None:
    program = (
        "import greet, os, subprocess, sys; greet.main(); subprocess.run(['greet-cli']);"
        "print(sys.stdin.read(), os.environ['VIRTUAL_ENV'] == sys.prefix)"
    )
    code, out, err = Job(root, "one").run(program)
    assert (code, out) == (0, "greetings\ngreetings\ntyped True\n"), err
    assert "preparing the environment: Python 3." in err and "1 requirement, by pip" in err
    (place,) = places(root)
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert json.loads((place / "complete").read_text())["size"] > 1_000_000
    os.utime(place / "complete", (1, 1))
    # Its source is gone: it is used as it is.
    shutil.rmtree(root / "wheels")
    assert Job(root, "two").run(program) == (0, out, "")
    assert (place / "complete").stat().st_mtime > 1_000_000_000
    assert places(root) == [place]


def test_what_pip_says_is_the_reason(root: Path) -> None:
    job = Job(root, "one", requirements=["greet==2.0"])
    code, out, err = job.run("print('never')")
    assert (code, out) == (125, "")
    assert "greet==2.0" in job.failed() and "is offline" in job.failed()
    assert job.failed() in err and "\n" not in job.failed()
    assert places(root) == []


def test_it_may_be_entered_by_those_who_must_not_prepare_it(root: Path, uv: str) -> None:
    looks = Job(root, "looks", only_prepared=True)
    assert looks.run("print(1)")[0] == environment.FAILED == NOT_PREPARED
    assert looks.failed() == "its environment is not prepared yet" and places(root) == []
    job = Job(root, "prepares")
    job.env["PATH"] = uv
    assert job.run("pass")[0] == 0
    code, out, err = looks.run("import sys; print(sys.prefix)")
    assert (code, out) == (0, f"{places(root)[0]}\n"), err
    with open(f"{places(root)[0]}.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert looks.run("print(1)")[0] == environment.FAILED
    assert looks.failed() == "its environment is being prepared"


def test_uv_is_preferred_and_told_everything_by_options(root: Path, uv: str) -> None:
    job = Job(root, "one", index_url="https://pypi.example/simple", offline=False, netrc="/n")
    job.env["PATH"] = uv
    code, out, err = job.run("print('ran')")
    assert (code, out) == (0, "ran\n"), err
    (place,) = places(root)
    python = f"{place}/bin/python"
    assert (job.home / "uv.log").read_text().splitlines() == [
        f"--no-config --quiet venv --python {sys.executable} {place}", "0",
        f"--no-config --quiet --no-cache pip install --python {python} --index-url "
        f"https://pypi.example/simple --find-links {root}/wheels -r {place}/requirements.txt", "0",
    ]  # fmt: skip
    assert (place / "requirements.txt").read_text() == "greet==1.0\n"


def test_what_uv_says_is_the_reason(root: Path, uv: str) -> None:
    job = Job(root, "one", offline=False)
    job.env |= {"PATH": uv, "FAILS": "1"}
    assert job.run("print('never')")[:2] == (125, "")
    assert job.failed() == (
        "its environment cannot be prepared: No solution found when resolving dependencies: "
        "Because a was not found, no."
    )
    assert places(root) == []


def test_killed_at_any_moment_nothing_counts_as_complete(root: Path, uv: str) -> None:
    """The installer that is left alive keeps others out until it has ended."""
    waits = root / "bin" / "uv"
    waits.write_text(
        f'#!/bin/sh\ncase "$*" in *" venv "*) for p; do :; done; mkdir -p "$p/bin"; exit 0;; esac\n'
        f"echo $$ > {root}/installer; while [ ! -e {root}/go ]; do sleep 0.02; done\n"
    )
    job = Job(root, "one")
    job.env["PATH"] = uv
    process = job.start("print('never')")
    until((root / "installer").exists)
    process.kill()
    process.communicate()
    (place,) = places(root)
    assert (place / "bin").exists() and not (place / "complete").exists()

    waits.write_text(UV.replace("{python}", sys.executable))
    second = Job(root, "two")
    second.env["PATH"] = uv
    process = second.start("print('ran')")
    assert process.stderr is not None
    assert b"waiting for another job" in process.stderr.readline()
    assert process.poll() is None
    (root / "go").touch()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, b"ran\n"), err
    assert (place / "complete").exists()


def test_a_polite_signal_ends_a_preparation_silently(root: Path, uv: str) -> None:
    waits = root / "bin" / "uv"
    waits.write_text(f"#!/bin/sh\ntouch {root}/began\nexec sleep 60\n")
    for number in (signal.SIGTERM, signal.SIGINT):
        job = Job(root, f"job-{number}")
        job.env["PATH"] = uv
        process = job.start("print('never')")
        until((root / "began").exists)
        (root / "began").unlink()
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (-number, b"") and b"Traceback" not in err
        assert not (job.home / "failed").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a folder away takes root")
def test_a_folder_of_somebody_else_is_not_used(root: Path) -> None:
    folder = root / "environments" / "0"
    folder.mkdir(parents=True)
    os.chown(folder, 65534, 65534)
    job = Job(root, "one")
    assert job.run("print('never')")[:2] == (125, "")
    assert f"{folder} does not belong to user 0" in job.failed()


def test_a_lock_that_was_removed_meanwhile_is_taken_anew(tmp_path: Path) -> None:
    path = str(tmp_path / "a.lock")
    first = environment.take_lock(path, fcntl.LOCK_EX)
    os.unlink(path)
    second = environment.take_lock(path, fcntl.LOCK_EX)
    assert os.stat(path).st_ino == os.fstat(second).st_ino
    os.close(first)
    os.close(second)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("x\nERROR: No matching\nERROR: again\n", "No matching; again"),
        ("note\nerror: bad\n  because\n", "bad because"),
        ("a\nb\nc\nd\n", "b; c; d"),
        ("", "its installer says no reason"),
        ("ERROR: \x1b[31mred", " [31mred"),
    ],
)
def test_the_reason_in_what_an_installer_says(said: str, reason: str) -> None:
    assert environment.reason_in(said) == reason
    assert len(environment.reason_in("ERROR: " + "x" * 9999)) == 1500
