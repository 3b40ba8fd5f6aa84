"""`remotectl run` as people use it: outages, interrupts and readers that leave."""

from __future__ import annotations

from tests.support.stack import Stack

COUNT = "n=0; while [ $n -lt 300 ]; do echo line $n; n=$((n+1)); sleep 0.02; done"


def test_run_bridges_a_restart_and_says_so(stack: Stack) -> None:
    stack.agent("a")
    with stack.ctl_start("run", "--shell", "sh", "--", COUNT) as run:
        assert run.stdout is not None and run.stderr is not None
        first = run.stdout.readline()
        stack.server.kill()
        assert b"Connection refused" in run.stderr.readline()
        stack.start_server()
        assert run.stderr.readline().startswith(b"remotectl: reached the server again after ")
        rest, err = run.communicate(timeout=60)
    assert run.returncode == 0, err.decode()
    assert first + rest == b"".join(b"line %d\n" % n for n in range(300))
    assert err == b""
