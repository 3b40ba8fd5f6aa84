"""Logs on their way to an archive elsewhere: faults, crashes, another server. Real processes."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from remote_protocol.states import JobState
from tests.support.stack import BIN, Stack, until
from tests.support.trees import files

SCRIPT = "i=0; while [ $i -lt 3000 ]; do echo line $i of $N; i=$((i+1)); done; echo end >&2"
KILLED_AFTER_A_PUT = """
import os, signal
from remote_server.logs.local.archive import DirectoryArchive
real = DirectoryArchive.put
async def put(self, name, content):
    await real(self, name, content)
    os.kill(os.getpid(), signal.SIGKILL)
DirectoryArchive.put = put
from remote_server.cli import main
main()
"""


def output(name: str) -> bytes:
    return b"".join(b"line %d of %s\n" % (n, name.encode()) for n in range(3000))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Where the archive is, once it is there."""
    return tmp_path / "share" / "logs"


def stack_with(tmp_path: Path, archive: Path) -> Stack:
    return Stack(tmp_path, LOGS_ARCHIVE_DIR=str(archive), LOGS_PACK_AFTER="1s")


def job(stack: Stack, name: str) -> str:
    view = stack.run(SCRIPT, env={"N": name}, name=name)
    assert view.state is JobState.SUCCEEDED, view.end_detail
    return view.id


def complete(stack: Stack, jobs: dict[str, str]) -> None:
    """Every byte of the logs is there, by whatever way they are read."""
    for name, found in jobs.items():
        assert stack.client.log(found, stream="stdout") == output(name)
        assert stack.client.log(found, stream="stderr") == b"end\n"
        last = stack.ctl("job", "logs", "--tail", 2, found, check=True)
        assert (last.stdout, last.stderr) == (f"line 2999 of {name}\n".encode(), b"end\n")


def packed(stack: Stack, archive: Path, jobs: dict[str, str]) -> None:
    """Wait until the logs are in the archive, and nowhere else."""

    def there() -> bool:
        names = {path.parent.name for path in files(archive) if path.name.endswith(".log.gz")}
        plain = [path for path in files(stack.data_dir / "logs") if path.suffix == ".log"]
        return names == set(jobs.values()) and not plain

    until(there, "all logs are packed")


def get(stack: Stack, path: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {stack.admin_token}"}
    return httpx.get(stack.url + path, headers=headers)


def metric(stack: Stack, name: str) -> float:
    text = get(stack, "/metrics").text
    match = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert match, text
    return float(match[1])


def check(stack: Stack) -> None:
    done = subprocess.run(
        [BIN / "remote-server", "check", "--data-dir", stack.data_dir],
        env=stack.server.env, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout[:6]) == (0, "sound:"), done.stdout + done.stderr


def test_an_archive_that_cannot_be_written_or_is_away(tmp_path: Path, archive: Path) -> None:
    archive.parent.mkdir()
    # A directory that nobody can write to, whoever runs the tests.
    archive.symlink_to("/proc")
    with stack_with(tmp_path, archive) as stack:
        stack.start_server()
        stack.agent("a")
        jobs = {name: job(stack, name) for name in ("one", "two")}
        until(
            lambda: "cannot be moved to the archive" in stack.server.words(), "the server says so"
        )
        assert str(archive) in stack.server.words()
        until(lambda: metric(stack, "remote_log_archive_failures_total") >= 1, "it is counted")
        jobs["three"] = job(stack, "three")
        complete(stack, jobs)
        archive.unlink()
        archive.mkdir()
        packed(stack, archive, jobs)
        until(lambda: "moved to the archive again" in stack.server.words(), "the server says so")
        until(lambda: metric(stack, "remote_logs_packed_total") == 3, "they are counted")
        until(lambda: metric(stack, "remote_logs_unpacked") == 0, "none is left")
        complete(stack, jobs)
        for path in archive.rglob("*.log.gz"):
            assert gzip.decompress(path.read_bytes()).count(b" stdout F ") == 3000
        # The share is gone when the server starts: nothing but old logs is missed.
        stack.server.kill()
        away = archive.rename(tmp_path / "away")
        stack.start_server()
        stack.online("a")
        answer = get(stack, f"/api/v1/jobs/{jobs['one']}/log")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        assert "mount it, or make the directory" in answer.json()["detail"]
        done = stack.ctl("run", "--", "true")
        assert (done.returncode, done.stderr) == (0, b""), "a job that prints nothing"
        four = job(stack, "four")
        complete(stack, {"four": four})
        assert not archive.exists(), "logs do not go to the disk below a mount"
        away.rename(archive)
        complete(stack, jobs)
        packed(stack, archive, {**jobs, "four": four})
        check(stack)


def test_a_crash_between_put_and_removal(tmp_path: Path, archive: Path) -> None:
    archive.mkdir(parents=True)
    with stack_with(tmp_path, archive) as stack:
        program, *rest = stack.server.command
        stack.server.command = [sys.executable, "-c", KILLED_AFTER_A_PUT, *rest]
        stack.start_server()
        stack.agent("a")
        jobs = {"one": job(stack, "one")}
        until(lambda: not stack.server.running, "it is killed")
        (plain,) = (stack.data_dir / "logs").rglob("*.log")
        (copy,) = archive.rglob("*.log.gz")
        assert gzip.decompress(copy.read_bytes()) == plain.read_bytes()
        stack.server.command = [program, *rest]
        stack.start_server()
        complete(stack, jobs)
        packed(stack, archive, jobs)
        complete(stack, jobs)
        check(stack)


def test_a_second_server_reads_what_the_first_has_packed(tmp_path: Path, archive: Path) -> None:
    archive.mkdir(parents=True)
    with stack_with(tmp_path, archive) as stack:
        stack.start_server()
        stack.agent("a")
        jobs = {"one": job(stack, "one")}
        packed(stack, archive, jobs)
        backup = tmp_path / "copy.tar"
        done = subprocess.run(
            [BIN / "remote-server", "backup", "--data-dir", stack.data_dir, backup],
            env=stack.server.env, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert f"without the packed logs in {archive}" in done.stderr
        stack.online("a")
        stack.agents["a"].stop()
        assert stack.server.stop() == 0
        token = stack.admin_token
        # Another server, on another host: its own data directory, the same archive.
        stack.data_dir = tmp_path / "other"
        stack.data_dir.mkdir()
        subprocess.run(["tar", "xf", backup, "-C", stack.data_dir], check=True)
        (stack.data_dir / "admin-token").write_text(token)
        command = stack.server.command
        command[command.index("--data-dir") + 1] = str(stack.data_dir)
        stack.start_server()
        complete(stack, jobs)
        check(stack)
