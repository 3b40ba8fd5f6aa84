"""Jobs that read their standard input: as it comes, to its end and not before, at any pace."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

from remote_agent.processes import Folder, Poller
from remote_agent.shim import layout
from remote_agent.shim.feed import CHECK_EVERY, Feed
from tests.support.shim_harness import Gate, Run, ShimHarness, eventually, open_files, tell

PYTHON = [sys.executable, "-I", "-S", "-c"]
SUM = "import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())"


def append(directory: Path, data: bytes, hint: bool = True) -> None:
    with (directory / layout.INPUT).open("ab") as file:
        file.write(data)
    if hint:
        tell(directory, {"do": "input"})


def end(directory: Path, size: int | None = None, hint: bool = True) -> None:
    path = directory / layout.INPUT
    known = path.stat().st_size if path.exists() else 0
    part = directory / "part"
    part.write_text(json.dumps({"v": 1, "size": known if size is None else size}))
    part.rename(directory / layout.INPUT_END)
    if hint:
        tell(directory, {"do": "input"})


def prints(directory: Path, text: bytes) -> None:
    log = directory / "output.log"
    eventually(lambda: log.exists() and text in log.read_bytes(), what=f"for {text!r}")


def test_input_arrives_as_it_comes_and_ends_when_it_is_complete(harness: ShimHarness) -> None:
    directory = harness.start(["cat"], stdin=True)
    harness.started(directory)
    append(directory, b"first\n")
    prints(directory, b"first")
    append(directory, b"\xff\0second\n")
    prints(directory, b"second")
    assert not (directory / layout.EXIT).exists(), "a pause is no end"
    end(directory)
    run = Run(directory, harness.ended(directory))
    assert (run.code, run.stdout) == (0, b"first\n\xff\0second\n")
    assert "input_closed" in run.steps


def test_the_shim_looks_by_itself(harness: ShimHarness) -> None:
    directory = harness.start(["cat"], stdin=True)
    harness.started(directory)
    append(directory, b"unsaid\n", hint=False)
    prints(directory, b"unsaid")
    end(directory, hint=False)
    assert harness.ended(directory)["exit_code"] == 0


def test_an_input_that_was_there_before_the_job(harness: ShimHarness) -> None:
    data = os.urandom(3_000_000)
    directory = harness.make([*PYTHON, SUM], stdin=True)
    append(directory, data)
    end(directory)
    harness.shims.request(directory)
    run = Run(directory, harness.ended(directory))
    assert run.stdout.decode().strip() == hashlib.sha256(data).hexdigest()


def test_an_empty_input(harness: ShimHarness) -> None:
    directory = harness.start(["cat"], stdin=True)
    end(directory)
    run = Run(directory, harness.ended(directory))
    assert (run.code, run.stdout) == (0, b"")


def test_an_end_counts_only_with_all_of_the_bytes(harness: ShimHarness) -> None:
    directory = harness.start(["cat"], stdin=True)
    harness.started(directory)
    append(directory, b"abc\n")
    end(directory, size=8)
    prints(directory, b"abc")
    append(directory, b"def\n")
    run = Run(directory, harness.ended(directory))
    assert run.stdout == b"abc\ndef\n"


def test_a_slow_reader_gets_everything(harness: ShimHarness) -> None:
    program = (
        "import os, sys, time, hashlib\n"
        "seen = hashlib.sha256()\n"
        "for _ in range(20):\n"
        "    seen.update(os.read(0, 1000)); time.sleep(0.01)\n"
        "while data := os.read(0, 1 << 20): seen.update(data)\n"
        "print(seen.hexdigest())\n"
    )
    data = os.urandom(5_000_000)
    directory = harness.start([*PYTHON, program], stdin=True)
    for start in range(0, len(data), 250_000):
        append(directory, data[start : start + 250_000])
    end(directory)
    run = Run(directory, harness.ended(directory))
    assert run.stdout.decode().strip() == hashlib.sha256(data).hexdigest()


def test_a_job_that_does_not_read_ends_all_the_same(harness: ShimHarness) -> None:
    directory = harness.start(["true"], stdin=True)
    assert harness.ended(directory)["exit_code"] == 0, "nothing ever came"
    directory = harness.make(["head", "-c", "3"], stdin=True)
    append(directory, bytes(4_000_000))
    harness.shims.request(directory)
    run = Run(directory, harness.ended(directory))
    assert (run.code, run.stdout) == (0, bytes(3))


def test_a_job_that_closes_its_input_goes_on(harness: ShimHarness, gate: Gate) -> None:
    script = f"exec <&-; echo closed; {gate.wait}; exit 4"
    directory = harness.start(["sh", "-c", script], stdin=True)
    prints(directory, b"closed")
    shim = harness.started(directory)["shim_pid"]
    assert sum("pipe:" in name for name in open_files(shim)) == 3
    append(directory, bytes(3_000_000))
    eventually(lambda: sum("pipe:" in name for name in open_files(shim)) == 2)
    gate.open()
    run = Run(directory, harness.ended(directory))
    assert run.code == 4
    (step,) = [step for step in run.record["steps"] if step["what"] == "input_closed"]
    assert step["detail"].startswith("the job closed its standard input")


def test_waiting_for_input_wakes_nobody(tmp_path: Path) -> None:
    poller = Poller()
    pipe, end_of_job = poller.input_pipe()
    with Folder(tmp_path) as folder:
        feed = Feed(folder, poller, pipe, b"", streamed=True)
        feed.tick(100.0)
        assert poller.wait(0) == [], "there is room, but nothing to put there"
        assert feed.check_at == 100.0 + CHECK_EVERY
        (tmp_path / layout.INPUT).write_bytes(bytes(1 << 22))
        feed.tick(100.0)
        assert feed.offset == 0, "it is not time yet"
        feed.go_on(100.0)
        assert poller.wait(0) == [pipe]
        while poller.wait(0):
            feed.go_on(100.0)
        assert 0 < feed.offset < 1 << 22, "the pipe is full, and the job does not read"
        feed.close()
        assert (feed.pipe, poller.wait(0)) == (None, [])
    os.close(end_of_job)


def test_limits_work_while_a_job_waits_for_its_input(harness: ShimHarness) -> None:
    directory = harness.start(["cat"], stdin=True, timeout=0.2, grace=5.0)
    assert harness.ended(directory)["end_reason"] == "timeout"
    directory = harness.start(["cat"], stdin=True)
    harness.started(directory)
    tell(directory, {"do": "stop", "detail": "enough"})
    assert harness.ended(directory)["end_reason"] == "cancelled"


def test_without_an_input_standard_input_is_empty(harness: ShimHarness) -> None:
    assert harness.run(["cat"]).stdout == b""


def test_a_payload_is_the_whole_input(harness: ShimHarness) -> None:
    run = harness.run(["cat"], payload=b"print('hi')\n\xff\0")
    assert (run.code, run.stdout) == (0, b"print('hi')\n\xff\0")
    (step,) = [step for step in run.record["steps"] if step["what"] == "input_closed"]
    assert step["detail"] == "14 bytes"
    assert not (run.directory / layout.INPUT).exists(), "it is in the order and nowhere else"


def test_a_large_payload_waits_for_a_slow_reader(harness: ShimHarness) -> None:
    payload = os.urandom(1 << 20)
    run = harness.run(
        ["sh", "-c", f"sleep 0.2; exec {sys.executable} -I -S -c '{SUM}'"], payload=payload
    )
    assert run.stdout.decode().strip() == hashlib.sha256(payload).hexdigest()


def test_a_payload_comes_before_what_is_streamed(harness: ShimHarness) -> None:
    directory = harness.start(["cat"], payload=b"given ", stdin=True)
    prints(directory, b"given")
    append(directory, b"and streamed\n")
    assert not (directory / layout.EXIT).exists(), "the payload is not the end of the input"
    end(directory)
    run = Run(directory, harness.ended(directory))
    assert run.stdout == b"given and streamed\n"


def test_what_is_left_reads_an_input_that_was_never_read(harness: ShimHarness) -> None:
    """The pipe is full and its reader outlives the job: it is swept, and the attempt ends."""
    directory = harness.make(
        ["sh", "-c", "exec 3<&0; sleep 60 & sleep 0.2; echo up; exit 5"], stdin=True
    )
    append(directory, bytes(4_000_000))
    harness.shims.request(directory)
    run = Run(directory, harness.ended(directory))
    assert (run.code, run.reason, run.stdout) == (5, "exit", b"up\n")
    assert "unforeseen" not in harness.log()
