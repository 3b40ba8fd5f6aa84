"""`remote-agent logs`: undoing the local copies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from remote_agent.cli import main
from remote_agent.journal.settled import LOGS
from remote_agent.spool import closed_name
from remote_protocol import cri

STAMP = b"2026-11-21T03:04:05.123456789Z"
JOB = "01JD0000000000000000000000"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REMOTE_AGENT_STATE_DIR", str(tmp_path))
    directory = tmp_path / "attempts" / f"{JOB}.1"
    directory.mkdir(parents=True)
    first = b"".join(cri.encode(b"one\ntwo", STAMP, cri.STDOUT))
    (directory / closed_name(0)).write_bytes(first)
    (directory / "output.log").write_bytes(b"".join(cri.encode(b"\noops\n", STAMP, cri.STDERR)))
    (directory / "exit.json").write_text("{}")
    return tmp_path


def test_streams_come_out_as_they_were(state: Path, capfdbinary: pytest.CaptureFixture) -> None:
    assert main(["logs", JOB]) == 0
    out, err = capfdbinary.readouterr()
    assert (out, err) == (b"one\ntwo", b"\noops\n")


def test_the_beginning_of_an_id_is_enough(state: Path, capfdbinary: pytest.CaptureFixture) -> None:
    assert main(["logs", "01jd"]) == 0
    assert capfdbinary.readouterr().out == b"one\ntwo"


def test_a_log_that_was_left_without_its_directory(
    state: Path, capfdbinary: pytest.CaptureFixture
) -> None:
    place = state / "attempts" / LOGS
    place.mkdir()
    (place / f"{JOB}.2").write_bytes(b"".join(cri.encode(b"again\n", STAMP, cri.STDOUT)))
    for words in (("logs", JOB), ("logs", "-f", JOB)):
        assert main([*words]) == 0
        assert capfdbinary.readouterr().out == b"again\n", "that of the last attempt"


def test_an_unknown_job_is_said(state: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["logs", "01ZZ"]) == 1
    assert "no log of a job" in capsys.readouterr().err


def test_an_ambiguous_beginning_is_said(state: Path, capsys: pytest.CaptureFixture) -> None:
    (state / "attempts" / "01JDZ000000000000000000000.1").mkdir()
    assert main(["logs", "01JD"]) == 1
    assert "2 jobs begin" in capsys.readouterr().err


def test_the_agents_own_log(state: Path, capfd: pytest.CaptureFixture) -> None:
    assert main(["logs"]) == 1
    (state / "logs").mkdir()
    (state / "logs" / "agent.log").write_text('{"event": "hello"}\n')
    assert main(["logs"]) == 0
    assert "hello" in capfd.readouterr().out


def follow(*words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "remote_agent", "logs", "-f", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_following_a_job_ends_with_it(state: Path) -> None:
    directory = state / "attempts" / f"{JOB}.1"
    (directory / "exit.json").unlink()
    with follow(JOB) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read(7) == b"one\ntwo"
        with (directory / "output.log").open("ab") as file:
            # A record that is cut in the middle comes out when its rest is there.
            late = b"".join(cri.encode(b"late\n", STAMP, cri.STDOUT))
            file.write(late[:20])
            file.flush()
            assert process.poll() is None
            file.write(late[20:])
        (directory / "exit.json").write_text("{}")
        assert process.stdout.read() == b"late\n"
        assert process.stderr.read() == b"\noops\n"
        assert process.wait(60) == 0


@pytest.mark.parametrize("read", [b"one\ntwo", b""])
def test_following_goes_on_where_a_log_is_left_meanwhile(state: Path, read: bytes) -> None:
    directory = state / "attempts" / f"{JOB}.1"
    (directory / "exit.json").unlink()
    (directory / closed_name(0)).unlink()
    (directory / "output.log").write_bytes(b"".join(cri.encode(read, STAMP, cri.STDOUT)))
    with follow(JOB) as process:
        assert process.stdout is not None
        assert process.stdout.read(len(read)) == read
        with (directory / "output.log").open("ab") as file:
            file.write(b"".join(cri.encode(b"late\n", STAMP, cri.STDOUT)))
        place = directory.parent / LOGS
        place.mkdir()
        (directory / "output.log").rename(place / directory.name)
        directory.rename(directory.with_name(".spare.0"))
        assert process.stdout.read() == b"late\n"
        assert process.wait(60) == 0


def test_following_the_own_log_goes_on_after_a_rotation(state: Path) -> None:
    log = state / "logs" / "agent.log"
    log.parent.mkdir()
    log.write_text("one\n")
    with follow() as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"one\n"
            with log.open("a") as file:
                file.write("two\n")
            log.rename(log.with_suffix(".log.1"))
            log.write_text("three\n")
            assert process.stdout.readline() == b"two\n"
            assert process.stdout.readline() == b"three\n"
        finally:
            process.terminate()
