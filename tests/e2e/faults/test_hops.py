"""A cut is never an end: through a proxy that hides it, every byte comes, or the call fails."""

from __future__ import annotations

import random

import pytest

from tests.support.old_proxy import OldProxy
from tests.support.stack import Stack, until

LINES = b"".join(b"line %d\n" % n for n in range(50))
COUNT = "n=0; while [ $n -lt 50 ]; do echo line $n; n=$((n+1)); {}; done"


class Cuts:
    """Cuts the first answers of each kind at any byte, logs in the middle of a record, too."""

    def __init__(self, seed: int, logs: int = 12) -> None:
        self._random = random.Random(seed)
        self._left = {"log": logs, "document": 2}

    def __call__(self, path: str) -> int | None:
        kind = "log" if "/log?" in path else "document"
        if "/jobs" not in path or not self._left[kind]:
            return None
        self._left[kind] -= 1
        return self._random.randrange(1, 400)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_download_that_is_cut_at_any_byte(stack: Stack, chunked: bool) -> None:
    stack.agent("a")
    job = stack.run(COUNT.format(":"))
    with OldProxy(("127.0.0.1", stack.port), chunked=chunked, cut=Cuts(7)) as proxy:
        done = stack.ctl("job", "logs", job.id, REMOTE_URL=proxy.url)
        assert (done.returncode, done.stdout) == (0, LINES), done.stderr.decode()
        followed = stack.ctl("job", "logs", "-f", job.id, REMOTE_URL=proxy.url)
        assert (followed.returncode, followed.stdout) == (0, LINES)
        tail = stack.ctl("job", "logs", "--tail", 3, job.id, REMOTE_URL=proxy.url)
        assert tail.stdout == b"line 47\nline 48\nline 49\n"
    assert proxy.cuts > 10


@pytest.mark.parametrize("chunked", [False, True])
def test_a_job_whose_stream_is_cut_at_any_byte(stack: Stack, chunked: bool) -> None:
    stack.agent("a")
    with OldProxy(("127.0.0.1", stack.port), chunked=chunked, cut=Cuts(8)) as proxy:
        done = stack.ctl(
            "run", "--shell", "sh", "--", COUNT.format("sleep 0.02") + "; exit 3",
            REMOTE_URL=proxy.url,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, LINES), done.stderr.decode()
    assert proxy.cuts > 5
    # The submission was cut, too, and repeated: it made one job.
    assert len(stack.client.jobs().items) == 1


def test_a_server_that_restarts_after_such_a_proxy(stack: Stack) -> None:
    stack.agent("a")
    with (
        OldProxy(("127.0.0.1", stack.port)) as proxy,
        stack.ctl_start(
            "run", "--shell", "sh", "--", COUNT.format("sleep 0.05"), REMOTE_URL=proxy.url
        ) as run,
    ):
        assert run.stdout is not None and run.stderr is not None
        first = run.stdout.readline()
        stack.server.kill()
        stack.start_server()
        rest, err = run.stdout.read(), run.stderr.read()
        until(lambda: run.poll() is not None, "it ends")
    assert (run.returncode, first + rest) == (0, LINES), err.decode()
