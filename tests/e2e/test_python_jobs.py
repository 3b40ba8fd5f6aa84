"""Python jobs, end to end: environments prepared once, kept apart, and never taken half made."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from remote_protocol.api.jobs import JobView
from remote_protocol.spec import JobSpec
from remote_protocol.states import EndReason, JobState
from tests.support.stack import Agent, Stack, until
from tests.support.wheels import make_wheel

MODULE = "def main():\n    print('greetings from', __file__)\n"
TOOL = "import greet\ngreet.main()\n"
INTERPRETER = os.path.realpath(sys.executable)
PUBLIC = "/usr/bin/python3"
"""One that other users can run, as that of a home directory cannot be."""


class Host:
    """An agent with wheels of its own and no index, and what its jobs print."""

    def __init__(
        self, stack: Stack, root: Path, more: str = "", interpreter: str = INTERPRETER
    ) -> None:
        self.stack, self.wheels = stack, root / "wheels"
        make_wheel(self.wheels, "greet", "1.0", MODULE)
        make_wheel(self.wheels, "other", "1.0", "", requires=["greet>=1"])
        python = f'interpreter = "{interpreter}"\noffline = true\nfind_links = "{self.wheels}"\n'
        self.agent: Agent = stack.agent("alpha", config=f"[python]\n{python}{more}")

    def run(self, script: str, *requirements: str, **fields: object) -> tuple[JobView, str, str]:
        """A job's end, and its output."""
        job = self.submit(script, *requirements, **fields)
        return self.ended(job)

    def submit(self, script: str, *requirements: str, **fields: object) -> str:
        spec = {"kind": "python", "script": script, "requirements": list(requirements), **fields}
        return str(self.stack.client.submit(JobSpec.model_validate(spec)).id)

    def ended(self, job: str) -> tuple[JobView, str, str]:
        view = self.stack.client.wait(job, 110)
        out, err = (
            b"".join(r.data for r in self.stack.client.follow_log(job) if r.stream == stream)
            for stream in ("stdout", "stderr")
        )
        return view, out.decode(), err.decode()

    def places(self) -> list[Path]:
        """The environments that are there, complete or not."""
        return [
            path
            for path in (self.agent.state_dir / "environments").glob("[0-9]*/*")
            if path.is_dir()
        ]


@pytest.fixture
def host(stack: Stack, tmp_path: Path) -> Host:
    return Host(stack, tmp_path)


def test_a_file_runs_with_its_arguments_and_streams(host: Host, tmp_path: Path) -> None:
    script = tmp_path / "report.py"
    script.write_text("import sys, helper; print(sys.argv, sys.stdin.read()); sys.exit(7)\n")
    (tmp_path / "helper.py").write_text("")
    done = host.stack.ctl(
        "run", "--python", "--file", tmp_path / "helper.py", "--", script, "--year", "2026"
    )
    assert done.returncode == 7, done.stderr
    assert b"report.py', '--year', '2026']" in done.stdout
    assert b"(python report.py --year 2026) failed on alpha" in done.stderr
    done = host.stack.ctl("run", "--python", "--module", "platform", "--", "--terse")
    assert done.returncode == 0 and done.stdout.startswith(b"Linux"), done.stderr
    assert host.places() == []


def test_an_environment_is_prepared_once_even_for_two_at_once(host: Host, tmp_path: Path) -> None:
    jobs = [host.submit(TOOL, "other == 1.0") for _ in range(2)]
    ends = [host.ended(job) for job in jobs]
    for view, out, err in ends:
        assert view.state is JobState.SUCCEEDED, err
        assert out.startswith("greetings from")
    assert sum("preparing the environment" in err for _, _, err in ends) == 1
    (place,) = host.places()
    file = tmp_path / "requirements.txt"
    file.write_text("# what it needs\nOther==1.0  # pinned\n\n")
    (tmp_path / "tool.py").write_text(TOOL)
    done = host.stack.ctl("run", "--python", "--requirements", file, "--", tmp_path / "tool.py")
    assert (done.returncode, done.stderr) == (0, b"")
    assert str(place).encode() in done.stdout


def test_what_cannot_be_resolved_is_named_and_is_no_exit_code_of_the_job(host: Host) -> None:
    view, out, err = host.run(TOOL, "greet==2.0")
    assert (view.state, view.end_reason, view.exit_code) == (
        JobState.FAILED, EndReason.SPAWN_ERROR, 125,
    )  # fmt: skip
    assert view.end_detail and "greet==2.0" in view.end_detail and "offline" in view.end_detail
    assert out == "" and "No matching distribution found for greet==2.0" in err
    assert host.places() == []
    view, _, _ = host.run("import sys; sys.exit(125)")
    assert (view.end_reason, view.exit_code) == (EndReason.EXIT, 125)


def test_what_jobs_may_not_require_is_refused_at_submission(host: Host, tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("")
    for line in ("-e .", "git+https://example.com/x", "a @ file:///etc/passwd", "--index-url=x"):
        (tmp_path / "r.txt").write_text(f"{line}\n")
        done = host.stack.ctl(
            "run", "--python", "--requirements", tmp_path / "r.txt", "--", tmp_path / "x.py"
        )
        assert done.returncode == 2 and b"--requirements" in done.stderr, done.stderr


BACKEND = """import os, shutil, time
while os.path.exists({gate!r}):
    time.sleep(0.02)

def build_wheel(folder, *more):
    return os.path.basename(shutil.copy({wheel!r}, folder))
"""


def hold_preparations(host: Host) -> Path:
    """A package `slow`, whose installation waits until the file is removed that this returns: what
    builds it runs code of its own."""
    gate = host.wheels / "gate"
    gate.touch()
    wheel = make_wheel(host.wheels / "hidden", "slow", "1.0", "")
    source = host.wheels / "slow-1.0"
    source.mkdir()
    (source / "backend.py").write_text(BACKEND.format(gate=str(gate), wheel=str(wheel)))
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n")
    shutil.make_archive(str(source), "gztar", host.wheels, "slow-1.0")
    shutil.rmtree(source)
    return gate


@pytest.mark.parametrize("victim", ["the first process", "the shim"])
def test_a_preparation_that_is_killed_leaves_nothing_that_counts(host: Host, victim: str) -> None:
    gate = hold_preparations(host)
    job = host.submit("print('ran')", "slow")
    until(lambda: host.places() and (host.places()[0] / "bin" / "pip").exists(), deadline=100)
    started = host.agent.state_dir / "attempts" / f"{job}.1" / "started.json"
    record = json.loads(started.read_text())
    os.kill(record["pid" if victim == "the first process" else "shim_pid"], signal.SIGKILL)
    view = host.stack.client.wait(job, 60)
    expected = EndReason.SIGNAL if victim == "the first process" else EndReason.LOST
    assert view.end_reason is expected, view.end_detail
    # The janitor may have thrown it away already.
    assert not any((place / "complete").exists() for place in host.places())
    gate.unlink()
    view, out, err = host.run("print('ran')", "slow")
    assert (view.state, out) == (JobState.SUCCEEDED, "ran\n"), err
    (place,) = host.places()
    assert (place / "complete").exists()


def test_timeout_and_cancel_hold_for_the_preparation(host: Host) -> None:
    hold_preparations(host)
    view, out, err = host.run("print('ran')", "slow", timeout=8, grace_period=1)
    assert (view.end_reason, out) == (EndReason.TIMEOUT, ""), err
    job = host.submit("print('ran')", "slow")
    host.stack.prints(job, b"preparing the environment")
    host.stack.client.cancel(job)
    assert host.stack.client.wait(job, 60).end_reason is EndReason.CANCELLED
    until(lambda: not any((place / "complete").exists() for place in host.places()))


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")
@pytest.mark.parametrize("users", ['run_as = "nobody"', 'user_range = "80300-80305"'])
def test_environments_belong_to_the_users_of_jobs(users: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix="python."))
    try:
        folder.chmod(0o755)
        with Stack(folder) as stack:
            stack.start_server()
            host = Host(stack, folder, f"[jobs]\n{users}\n", PUBLIC)
            script = TOOL + "import os; print(os.geteuid(), os.stat(greet.__file__).st_uid)\n"
            view, out, err = host.run(script, "greet")
            assert view.state is JobState.SUCCEEDED, (view.end_detail, err)
            mine = out.split()[-2:]
            assert mine[0] == mine[1] != "0"
            second, _, said = host.run(script, "greet")
            assert second.state is JobState.SUCCEEDED
            shared = "run_as" in users
            assert ("preparing" in said) != shared
            assert len(host.places()) == (1 if shared else 0)
    finally:
        shutil.rmtree(folder)
