"""A shim process of its own (`run DIRECTORY`): the same contract without a launcher."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_agent.processes import Folder, shim_command, shim_environment
from remote_agent.shim import layout, worker
from remote_agent.shim.attempt import ShimProcess
from remote_agent.shim.control_socket import ControlSocket
from remote_agent.shim.record_text import shim_fields
from tests.support.shim_harness import Gate, Run, ShimHarness, eventually, running


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[ShimHarness]:
    """One without a launcher."""
    harness = ShimHarness(tmp_path / "state")
    yield harness
    harness.close()


def shim(directory: Path, **more: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        shim_command("run", str(directory)),
        env=shim_environment(os.environ),
        stderr=subprocess.PIPE,
        **more,  # type: ignore[call-overload]
    )


def end(process: subprocess.Popen[bytes]) -> str:
    assert process.wait(30) == 0
    assert process.stderr is not None
    with process.stderr as errors:
        return errors.read().decode()


def test_one_attempt(harness: ShimHarness) -> None:
    directory = harness.make(["sh", "-c", "echo hi; exit 3"])
    assert end(shim(directory)) == ""
    run = Run(directory, harness.ended(directory))
    assert (run.code, run.stdout) == (3, b"hi\n")
    assert "begun before; it is not started again" in end(shim(directory))


def test_two_shims_start_it_once(harness: ShimHarness, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    directory = harness.make(["sh", "-c", f"echo start >> {tmp_path}/starts; {gate.wait}"])
    shims = [shim(directory) for _ in range(3)]
    eventually(lambda: sum(process.poll() is not None for process in shims) == 2)
    gate.open()
    reports = "".join(end(process) for process in shims)
    gate.close()
    assert reports.count("another shim keeps") == 2
    assert (tmp_path / "starts").read_text() == "start\n"


def test_the_kernel_kills_the_job_of_a_shim_that_dies_alone(harness: ShimHarness) -> None:
    directory = harness.make(["sleep", "60"])
    process = shim(directory)
    pid = harness.started(directory)["pid"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stderr is not None
    process.stderr.close()
    eventually(lambda: not running(pid))


def test_inherited_signal_settings_do_not_reach_the_job(harness: ShimHarness) -> None:
    directory = harness.make(["sh", "-c", "grep -E '^Sig(Ign|Blk)' /proc/self/status"])

    def spoil() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])

    assert end(shim(directory, preexec_fn=spoil)) == ""
    values = [
        line.split()[1] for line in Run(directory, harness.ended(directory)).stdout.splitlines()
    ]
    # glibc's posix_spawn (make uses it) ignores the two signals of its threads for good.
    of_threads = 1 << 31 | 1 << 32
    assert {int(value, 16) & ~of_threads for value in values} == {0}


@pytest.mark.parametrize("line", [b"{\n", b"no newline", b'{"v":99}\n'])
def test_an_order_that_cannot_be_understood_ends_the_attempt(
    harness: ShimHarness, line: bytes
) -> None:
    directory = harness.make(["true"])
    (directory / layout.ORDER).write_bytes(line)
    assert end(shim(directory)) == ""
    record = harness.ended(directory)
    assert (record["exit_code"], record["end_reason"]) == (126, "spawn_error")
    assert record["end_detail"].startswith("the start order")


def test_a_directory_that_was_settled_meanwhile_is_left_alone(
    harness: ShimHarness,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    directory = harness.make(["true"])
    spare = directory.with_name(".spare.0")
    lock = worker._lock

    def lock_late(folder: Folder) -> bool:
        # As the agent makes a spare one of it: away from its name, then its order is emptied.
        directory.rename(spare)
        (spare / layout.ORDER).write_bytes(b"")
        return lock(folder)

    monkeypatch.setattr(worker, "_lock", lock_late)
    monkeypatch.chdir(tmp_path)
    shim_process = ShimProcess(
        "boot", shim_fields(1, "1", "boot"), None, ControlSocket(reused=False)
    )
    assert worker.run_attempt(str(directory), shim_process, {}) is None
    assert "was settled; it is not started again" in capsys.readouterr().err
    assert sorted(os.listdir(spare)) == [layout.ORDER, "work"]
    assert not directory.exists()


def test_the_attempt_that_has_the_directory_now_is_left_alone(
    harness: ShimHarness, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = harness.make(["true"])
    other = harness.make(["true"])
    order = (other / layout.ORDER).read_bytes()
    lock = worker._lock

    def lock_late(folder: Folder) -> bool:
        # As the agent stores an offer in a spare directory: nobody has confirmed it yet.
        directory.rename(directory.with_name("J9.1"))
        (directory.with_name("J9.1") / layout.ORDER).write_bytes(order)
        return lock(folder)

    monkeypatch.setattr(worker, "_lock", lock_late)
    shim_process = ShimProcess(
        "boot", shim_fields(1, "1", "boot"), None, ControlSocket(reused=False)
    )
    assert worker.run_attempt(str(directory), shim_process, {}) is None
    assert f"{other.name} has its directory, and is left alone" in capsys.readouterr().err
    assert sorted(os.listdir(directory.with_name("J9.1"))) == [layout.ORDER, "work"]


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert "cannot open the attempt directory" in end(shim(tmp_path / "absent"))


def test_what_an_older_agent_ordered_is_understood(harness: ShimHarness) -> None:
    directory = harness.make(["true"])
    env = {"A": "b", "PATH": os.environ["PATH"]}
    old = {"v": 1, "key": "J1.1", "argv": ["sh", "-c", "echo $A"], "env": env, "cwd": "/"}
    (directory / layout.ORDER).write_text(json.dumps(old) + "\n")
    assert end(shim(directory)) == ""
    assert Run(directory, harness.ended(directory)).stdout == b"b\n"
