"""The input of jobs end to end: every byte once, in order, to its end, whatever is killed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import IO

import pytest

from remote_client.errors import ApiError
from remote_protocol.limits import MAX_INPUT_PART
from remote_protocol.states import EndReason, JobState
from tests.support.relay import Relay
from tests.support.stack import Stack, until

LARGE = 50_000_000
SUM = """
import hashlib, sys
seen, size = hashlib.sha256(), 0
while data := sys.stdin.buffer.read1(1 << 16):
    seen.update(data)
    size += len(data)
    if size - len(data) < 1_000_000 <= size:
        print("a million", flush=True)
print(size, seen.hexdigest())
"""


class Sender:
    """Sends an input in a thread of its own, part by part, `pause` times held up by the test."""

    def __init__(self, stack: Stack, job: str, data: bytes) -> None:
        self.data = data
        self.offset = 0
        self.gate = threading.Event()
        self.gate.set()
        self._job = job
        self._client = stack.client.again()
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._client as client:
                while True:
                    self.gate.wait()
                    part = self.data[self.offset : self.offset + MAX_INPUT_PART]
                    end = self.offset + len(part) == len(self.data)
                    client.send_input(self._job, self.offset, part, end)
                    self.offset += len(part)
                    if end:
                        return
        except Exception as error:
            self._fault = error

    def past(self, size: int) -> None:
        """Wait until so much has been sent, then hold."""
        until(lambda: self.offset >= size or self._fault, f"{size} bytes are sent", 30)
        self.gate.clear()

    def done(self) -> None:
        """Go on to the end."""
        self.gate.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "the sender hangs"
        if self._fault is not None:
            raise self._fault


@pytest.fixture
def relay(stack: Stack) -> Iterator[Relay]:
    """A line to the server that can be made bad."""
    relay = Relay(("127.0.0.1", stack.port)).start()
    yield relay
    relay.stop()


def read_whole(stack: Stack, job: str, data: bytes) -> None:
    """The job has read all of the data, and ended well."""
    ended = stack.client.wait(job, 60)
    assert ended.state is JobState.SUCCEEDED, ended.end_detail
    words = stack.client.log(job).split()[-2:]
    assert words == [str(len(data)).encode(), hashlib.sha256(data).hexdigest().encode()]
    left = list((stack.data_dir / "inputs").iterdir())
    until(lambda: not list((stack.data_dir / "inputs").iterdir()), f"{left} is removed")


def start(stack: Stack) -> str:
    return stack.submit(command=[sys.executable, "-c", SUM], stdin=True).id


def test_a_job_starts_at_once_and_reads_what_comes(shared: Stack) -> None:
    job = shared.submit(command=["cat"], stdin=True).id
    shared.client.send_input(job, 0, b"first\n")
    shared.prints(job, b"first\n")
    shared.client.send_input(job, 6, b"\xff\0second")
    shared.prints(job, b"second")
    assert shared.client.job(job).state is JobState.RUNNING, "a pause is no end"
    shared.client.send_input(job, 14, b"", end=True)
    assert shared.client.wait(job, 30).state is JobState.SUCCEEDED
    assert shared.client.log(job) == b"first\n\xff\0second"
    happened = [entry.what for entry in shared.client.timeline(job)]
    assert "input_ended" in happened and "input_closed" in happened
    with pytest.raises(ApiError, match="has ended"):
        shared.client.send_input(job, 14, b"more")


def test_an_empty_input_and_one_that_nobody_reads(shared: Stack) -> None:
    job = shared.submit(command=["cat"], stdin=True).id
    shared.client.send_input(job, 0, b"", end=True)
    assert shared.client.wait(job, 30).state is JobState.SUCCEEDED
    job = shared.submit(command=["true"], stdin=True).id
    assert shared.client.wait(job, 30).state is JobState.SUCCEEDED, "without a byte or an end"


def test_a_script_from_standard_input_is_run_whole(shared: Stack) -> None:
    job = shared.submit(command=["sh"], stdin=True).id
    script = b"".join(b"echo line %d\n" % n for n in range(20_000)) + b"exit 3\n"
    Sender(shared, job, script).done()
    ended = shared.client.wait(job, 60)
    assert ended.exit_code == 3
    assert shared.client.log(job) == b"".join(b"line %d\n" % n for n in range(20_000))


def test_a_large_input_over_killed_agents_and_servers(stack: Stack) -> None:
    agent = stack.agent("a")
    data = os.urandom(LARGE)
    job = start(stack)
    sender = Sender(stack, job, data)
    sender.past(LARGE // 4)
    agent.kill()
    sender.gate.set()
    sender.past(LARGE // 2)
    agent.start()
    stack.online("a")
    stack.server.kill()
    sender.gate.set()
    stack.start_server()
    sender.past(3 * LARGE // 4)
    agent.kill()
    stack.server.kill()
    stack.start_server()
    agent.start()
    sender.done()
    read_whole(stack, job, data)
    assert stack.client.job(job).attempt == 1


def test_a_large_input_over_a_bad_line(stack: Stack, relay: Relay) -> None:
    stack.agent("a", url=f"http://127.0.0.1:{relay.port}")
    data = os.urandom(LARGE)
    job = start(stack)
    sender = Sender(stack, job, data)
    for quarter in (1, 2, 3):
        sender.past(quarter * LARGE // 4)
        relay.cut()
        sender.gate.set()
    relay.refuse(True)
    relay.cut()
    sender.done()
    relay.refuse(False)
    read_whole(stack, job, data)


def test_an_agent_that_is_killed_while_its_job_waits_for_the_rest(stack: Stack) -> None:
    agent = stack.agent("a")
    data = os.urandom(3_000_000)
    job = start(stack)
    stack.client.send_input(job, 0, data[:MAX_INPUT_PART])
    stack.prints(job, b"a million")
    agent.kill()
    Sender(stack, job, data).done()
    agent.start()
    read_whole(stack, job, data)


def test_a_second_attempt_reads_from_the_beginning(stack: Stack) -> None:
    stack.agent("a")
    data = os.urandom(3_000_000)
    flag = stack.root / "flag"
    script = f"{sys.executable} -c '{SUM}'; [ -e {flag} ] || {{ touch {flag}; exit 9; }}"
    job = stack.submit(
        script=script, stdin=True, max_attempts=2, retry_on=["exit"], retry_backoff=0
    ).id
    Sender(stack, job, data).done()
    read_whole(stack, job, data)
    assert stack.client.job(job).attempt == 2
    first = stack.client.log(job, attempt=1)
    assert hashlib.sha256(data).hexdigest().encode() in first


def test_a_cut_is_never_an_end(stack_of_short_inputs: Stack) -> None:
    stack = stack_of_short_inputs
    stack.agent("a")
    job = stack.submit("cat; echo it believes that this was all", stdin=True).id
    stack.client.send_input(job, 0, b"half of it\n")
    ended = stack.client.wait(job, 30)
    assert (ended.state, ended.end_reason) == (JobState.CANCELLED, EndReason.CANCELLED)
    assert "its input broke off after 11 bytes" in (ended.end_detail or "")
    assert b"believes" not in stack.client.log(job)


def test_a_silent_sender_that_lives_is_borne(stack_of_short_inputs: Stack) -> None:
    stack = stack_of_short_inputs
    stack.agent("a")
    job = stack.submit(command=["cat"], stdin=True).id
    dead = stack.submit(command=["cat"], stdin=True).id
    until(lambda: _spoken_for(stack, job, dead), "the silent one is ended", 30)
    assert stack.client.job(job).state is JobState.RUNNING
    stack.client.send_input(job, 0, b"at last", end=True)
    assert stack.client.wait(job, 30).state is JobState.SUCCEEDED
    assert stack.client.log(job) == b"at last"


def _spoken_for(stack: Stack, job: str, dead: str) -> bool:
    stack.client.send_input(job, 0, b"")
    return stack.client.job(dead).state.terminal


@pytest.fixture
def stack_of_short_inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server that tolerates four seconds of silence: no test or remotectl is held up so long."""
    with Stack(tmp_path_factory.mktemp("short"), LIMITS_INPUT_TTL="4s") as stack:
        stack.start_server()
        yield stack


def test_a_job_that_leaves_its_input_alone_is_not_kept_by_it(shared: Stack) -> None:
    job = shared.submit("head -n 1; exec <&-; sleep 0.2; exit 5", stdin=True).id
    shared.client.send_input(job, 0, b"y\n" * 500_000)
    ended = shared.client.wait(job, 30)
    assert ended.exit_code == 5
    assert shared.client.log(job) == b"y\n"


def test_merged_output_is_exact(shared: Stack) -> None:
    script = "for n in $(seq 300); do echo o$n; echo e$n >&2; done"
    job = shared.run(script, merge_output=True)
    wanted = b"".join(b"o%d\ne%d\n" % (n, n) for n in range(1, 301))
    assert shared.client.log(job.id, stream="stdout") == wanted
    assert shared.client.log(job.id, stream="stderr") == b""


def test_a_script_has_arguments(shared: Stack) -> None:
    job = shared.run('printf "%s|" "$0" "$@"', args=["a b", "*"])
    assert shared.client.log(job.id).endswith(b"script|a b|*|")


# Through remotectl ---------------------------------------------------------------------------


def piped(stack: Stack, data: bytes | None, *arguments: object, **env: str) -> Ctl:
    """`remotectl run` with `data` on its way into its standard input."""
    process = stack.ctl_start("run", *arguments, stdin=subprocess.PIPE, **env)
    return Ctl(process, data)


class Ctl:
    """A `remotectl` that is fed by a thread."""

    def __init__(self, process: subprocess.Popen[bytes], data: bytes | None) -> None:
        assert process.stdin is not None
        self.process = process
        self._out: list[bytes] = []
        self._threads = [threading.Thread(target=self._read, daemon=True)]
        if data is not None:
            feed = threading.Thread(target=self._feed, args=(process.stdin, data), daemon=True)
            self._threads.append(feed)
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._out.append(line)

    @staticmethod
    def _feed(end: IO[bytes], data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError), end:
            end.write(data)

    def code(self) -> int:
        """Its exit code."""
        return self.process.wait(90)

    def out(self) -> bytes:
        """All of its output, after its end."""
        self._join()
        return b"".join(self._out)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def close(self) -> None:
        """After its end."""
        # No stream is closed while a thread uses it.
        self._join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def ran(stack: Stack, data: bytes | None, *arguments: object) -> tuple[int, bytes, bytes]:
    ctl = piped(stack, data, *arguments)
    code, out = ctl.code(), ctl.out()
    assert ctl.process.stderr is not None
    err = ctl.process.stderr.read()
    ctl.close()
    return code, out, err


def test_scripts_come_by_standard_input(shared: Stack) -> None:
    assert ran(shared, b"echo hi; exit 3", "--", "sh")[:2] == (3, b"hi\n")
    assert ran(shared, b"print(6 * 7)", "--", sys.executable, "-")[:2] == (0, b"42\n")
    script = b"#!/bin/sh\necho $1-$2; exit 4\n"
    assert ran(shared, script, "--script", "-", "--", "a", "b")[:2] == (4, b"a-b\n")


def test_a_binary_pipe_comes_byte_for_byte(shared: Stack) -> None:
    data = bytes(range(256)) * 8_000 + os.urandom(3_000_001)
    code, out, err = ran(shared, data, "--", "cat")
    assert code == 0, err
    assert hashlib.sha256(out).digest() == hashlib.sha256(data).digest()


def test_nobody_waits_for_a_pipe_but_the_job(shared: Stack) -> None:
    ctl = piped(shared, None, "--", "true")
    assert ctl.code() == 0, "its standard input is still open"
    ctl.close()
    yes = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    head = shared.ctl_start("run", "--", "head", "-n", "1", stdin=yes.stdout)
    assert yes.stdout is not None
    yes.stdout.close()
    out, err = head.communicate(timeout=60)
    assert (head.returncode, out) == (0, b"y\n"), err
    assert yes.wait(30) == -signal.SIGPIPE


def test_a_job_without_input_has_an_empty_one(shared: Stack) -> None:
    assert ran(shared, b"unwanted", "-n", "--", "cat")[:2] == (0, b"")
    assert shared.ctl("run", "--", "cat").stdout == b""


def test_ctrl_c_ends_a_job_that_waits_for_its_input(shared: Stack) -> None:
    ctl = piped(shared, None, "--shell", "sh", "--", "echo ready; cat")
    until(lambda: ctl._out, "the job is ready")
    ctl.process.send_signal(signal.SIGINT)
    assert ctl.code() == 130
    ctl.close()


def test_remotectl_sends_over_killed_servers_and_agents(stack: Stack) -> None:
    agent = stack.agent("a")
    data = os.urandom(LARGE)
    ctl = piped(stack, data, "--", sys.executable, "-c", SUM)

    def arrived() -> int:
        (page,) = stack.client.jobs(limit=1).items or (None,)
        if page is None or page.state.terminal:
            return 0
        return stack.client.input(page.id).size

    until(lambda: arrived() > LARGE // 5, "a fifth is here")
    stack.server.kill()
    stack.start_server()
    until(lambda: arrived() > LARGE // 2, "half is here", 40)
    agent.kill()
    stack.server.kill()
    stack.start_server()
    agent.start()
    assert ctl.code() == 0
    words = ctl.out().split()[-2:]
    assert words == [str(LARGE).encode(), hashlib.sha256(data).hexdigest().encode()]
    ctl.close()


def test_a_killed_remotectl_is_no_end(stack_of_short_inputs: Stack) -> None:
    stack = stack_of_short_inputs
    stack.agent("a")
    ctl = piped(stack, None, "--shell", "sh", "--", "cat; echo all of it; sleep 60")
    assert ctl.process.stdin is not None
    ctl.process.stdin.write(b"half\n")
    ctl.process.stdin.flush()
    until(lambda: b"half\n" in ctl._out, "the job has read it")
    (job,) = stack.client.jobs(limit=1).items
    ctl.process.kill()
    ctl.code()
    ctl.close()
    ended = stack.client.wait(job.id, 30)
    assert ended.state is JobState.CANCELLED and "its input broke off" in (ended.end_detail or "")
    assert stack.client.log(job.id) == b"half\n"


def test_a_silent_pipe_keeps_its_job(stack_of_short_inputs: Stack) -> None:
    stack = stack_of_short_inputs
    stack.agent("a")
    ctl = piped(stack, None, "--", "cat")
    dead = stack.submit(command=["cat"], stdin=True).id
    assert stack.client.wait(dead, 30).state is JobState.CANCELLED, "longer than is tolerated"
    assert ctl.process.stdin is not None
    ctl.process.stdin.write(b"at last")
    ctl.process.stdin.close()
    assert (ctl.code(), ctl.out()) == (0, b"at last")
    ctl.close()


def test_detached_jobs_have_all_of_their_input(shared: Stack) -> None:
    code, out, err = ran(shared, b"x" * 2_000_000, "--detach", "--stdin", "--", "wc", "-c")
    assert code == 0 and b"1.9 MiB of standard input" in err
    assert shared.client.wait(out.decode().strip(), 30).state is JobState.SUCCEEDED
    assert shared.client.log(out.decode().strip()).split() == [b"2000000"]


def test_merged_output_of_remotectl(shared: Stack) -> None:
    script = "for n in 1 2 3 4 5; do echo o$n; echo e$n >&2; done"
    done = shared.ctl("run", "--merge-output", "--shell", "sh", "--", script)
    assert done.stdout == b"".join(b"o%d\ne%d\n" % (n, n) for n in range(1, 6))
    assert done.stderr == b""
