"""Programs that are called: without a terminal, and with what they say made fit for one."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from remote_agent.processes import account
from remote_agent.service.calling import call, last_line, one_line

TERMINAL = """
import sys
from remote_agent.service.calling import call
done = call(["sh", "-c", ": </dev/tty && echo it has a terminal"], 30)
sys.exit(10 if "terminal" in done.stdout else 11)
"""


def test_what_it_says_and_how_it_ends(tmp_path: Path) -> None:
    done = call(["sh", "-c", "pwd; echo $A; cat; echo why >&2; exit 3"], 30, env={"A": "b"})
    assert (done.stdout, done.stderr, done.returncode) == ("/\nb\n", "why\n", 3)
    with pytest.raises(FileNotFoundError):
        call([str(tmp_path / "absent")], 30)
    with pytest.raises(subprocess.TimeoutExpired):
        call(["sleep", "60"], 0.1)


def test_root_s_terminal_is_out_of_its_reach() -> None:
    pid, terminal = pty.fork()
    if not pid:
        os.execv(sys.executable, [sys.executable, "-c", TERMINAL])
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 11
    finally:
        os.close(terminal)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_as_another_user() -> None:
    nobody = account("nobody")
    done = call(["sh", "-c", "id -u; id -g"], 30, nobody)
    assert done.stdout.split() == [str(nobody.uid), str(nobody.gid)]


def test_its_last_line_cannot_steer_a_terminal() -> None:
    done = call(["sh", "-c", "echo one >&2; printf 'two\\033[2J\\377\\n' >&2"], 30)
    assert last_line(done) == "two\\x1b[2J\ufffd"
    assert last_line(call(["sh", "-c", "echo out"], 30)) == "out"
    assert last_line(call(["true"], 30)) == ""


def test_what_an_agent_says_of_itself_is_one_line() -> None:
    assert one_line("a\nremoved  all\t\033c") == "a removed all \\x1bc"
    assert one_line(None) == "None"
