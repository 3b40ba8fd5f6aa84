"""The input of jobs end to end: every byte once, in order, to its end, whatever is killed."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Iterator

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
    assert shared.client.wait(job, 20).state is JobState.SUCCEEDED
    assert shared.client.log(job) == b"first\n\xff\0second"
    happened = [entry.what for entry in shared.client.timeline(job)]
    assert "input_ended" in happened and "input_closed" in happened
    with pytest.raises(ApiError, match="has ended"):
        shared.client.send_input(job, 14, b"more")


def test_an_empty_input_and_one_that_nobody_reads(shared: Stack) -> None:
    job = shared.submit(command=["cat"], stdin=True).id
    shared.client.send_input(job, 0, b"", end=True)
    assert shared.client.wait(job, 20).state is JobState.SUCCEEDED
    job = shared.submit(command=["true"], stdin=True).id
    assert shared.client.wait(job, 20).state is JobState.SUCCEEDED, "without a byte or an end"


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
    assert stack.client.wait(job, 20).state is JobState.SUCCEEDED
    assert stack.client.log(job) == b"at last"


def _spoken_for(stack: Stack, job: str, dead: str) -> bool:
    stack.client.send_input(job, 0, b"")
    return stack.client.job(dead).state.terminal


@pytest.fixture
def stack_of_short_inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server that bears two seconds of silence."""
    with Stack(tmp_path_factory.mktemp("short"), LIMITS_INPUT_TTL="2s") as stack:
        stack.start_server()
        yield stack


def test_a_job_that_leaves_its_input_alone_is_not_kept_by_it(shared: Stack) -> None:
    job = shared.submit("head -n 1; exec <&-; sleep 0.2; exit 5", stdin=True).id
    shared.client.send_input(job, 0, b"y\n" * 500_000)
    ended = shared.client.wait(job, 20)
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
