"""A job whose every line is known, for tests in which something is killed while it prints."""

from __future__ import annotations

import hashlib
import sys

from remote_protocol.api.jobs import JobView
from remote_protocol.states import JobState
from tests.support.stack import Stack

COUNT = """
import pathlib, sys, time
go = pathlib.Path(sys.argv[1])
with open(sys.argv[2], "a") as starts:
    starts.write("started\\n")
n = 0
while not go.exists():
    print("line", n, flush=True)
    n += 1
    time.sleep(0.005)
for n in range(n, n + 50_000):
    print("line", n)
sys.exit(7)
"""


class Counter:
    """A job that counts until it is let go, then prints a lot and ends with 7."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.go, self.starts = stack.root / "go", stack.root / "starts"
        command = [sys.executable, "-c", COUNT, str(self.go), str(self.starts)]
        self.job = stack.submit(command=command)
        stack.prints(self.job.id, b"line 10\n")

    def arrived(self) -> int:
        """Bytes of its output that the server has."""
        return len(self.stack.client.log(self.job.id))

    def finish(self) -> JobView:
        """Let it end; check that it ran once, ended with 7 and that no byte is missing."""
        self.go.touch()
        job = self.stack.client.wait(self.job.id, 90)
        assert (job.state, job.exit_code, job.attempt) == (JobState.FAILED, 7, 1), job.end_detail
        log = self.stack.client.log(job.id)
        count = log.count(b"\n")
        assert count > 50_000
        wanted = b"".join(b"line %d\n" % n for n in range(count))
        assert hashlib.sha256(log).hexdigest() == hashlib.sha256(wanted).hexdigest()
        assert self.starts.read_text() == "started\n"
        assert job.attempts[-1].log_complete
        return job
