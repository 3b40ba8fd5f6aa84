"""Process 1, played by a subreaper: orphans come to it, too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from remote_agent.processes.linux import descendants
from remote_agent.processes.posix_init import is_init

_INIT = """
import os, signal, sys, time
from remote_agent.processes import become_subreaper
from remote_agent.processes import posix_init
become_subreaper()
code = posix_init.keep_running()
if code is not None:
    sys.exit(code)
def note(*words):
    print(os.getpid(), *words, flush=True)
"""
_AGENT = (
    _INIT
    + """
count = {"TERM": 0}
def stop(*_):
    note("TERM")
    if "stubborn" not in sys.argv:
        sys.exit(7)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGHUP, lambda *_: note("HUP"))
note("up", os.getsid(0) == os.getpid())
if "slowly" in sys.argv:
    time.sleep(0.5)  # a signal that comes meanwhile waits
signal.pthread_sigmask(signal.SIG_SETMASK, [])
while True:
    time.sleep(60)
"""
)


class Init:
    """One that runs `program`, and the lines that its agents have said."""

    def __init__(self, program: str, output: Path, *arguments: str) -> None:
        self._output = output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program, *arguments],
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def lines(self) -> list[list[str]]:
        return [line.split(maxsplit=1) for line in self._output.read_text().splitlines()]

    def agent(self, number: int = 1) -> int:
        """The pid of this agent, once it is up."""

        def pids() -> list[int]:
            return [int(line[0]) for line in self.lines() if line[1:] == ["up True"]]

        until(lambda: len(pids()) >= number)
        return pids()[number - 1]

    def said(self, words: str) -> int:
        return sum(line[1:] == [words] for line in self.lines())


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Init]]:
    started: list[Init] = []

    def begin(*arguments: str, program: str = _AGENT) -> Init:
        started.append(Init(program, tmp_path / f"{len(started)}", *arguments))
        return started[-1]

    yield begin
    for init in started:
        # What is stopped starts no other agent.
        init.process.send_signal(signal.SIGSTOP)
        for pid in descendants(init.process.pid):
            os.kill(pid, signal.SIGKILL)
        init.process.kill()
        init.process.wait()


def test_this_is_not_process_1() -> None:
    assert not is_init()


def test_signals_are_passed_on_and_the_exit_code_is_the_agents(start: Callable[..., Init]) -> None:
    init = start()
    init.agent()
    init.process.send_signal(signal.SIGHUP)
    until(lambda: init.said("HUP"))
    init.process.send_signal(signal.SIGTERM)
    assert init.process.wait(60) == 7
    assert init.said("TERM") == 1


def test_a_killed_agent_is_started_again(start: Callable[..., Init]) -> None:
    init = start()
    first = init.agent()
    os.kill(first, signal.SIGKILL)
    second = init.agent(2)
    assert second != first and init.process.poll() is None
    assert any("was killed by signal 9" in " ".join(line) for line in init.lines())
    init.process.send_signal(signal.SIGTERM)
    assert init.process.wait(60) == 7


def test_a_signal_to_stop_waits_for_an_agent_that_starts(start: Callable[..., Init]) -> None:
    init = start("slowly")
    init.agent()
    init.process.send_signal(signal.SIGTERM)
    assert init.process.wait(60) == 7


def test_one_that_comes_between_two_agents_reaches_the_next(start: Callable[..., Init]) -> None:
    init = start()
    os.kill(init.agent(), signal.SIGKILL)
    until(lambda: any("was killed" in " ".join(line) for line in init.lines()))
    init.process.send_signal(signal.SIGTERM)
    assert init.process.wait(60) == 7


def test_an_agent_killed_while_it_stops_is_followed_by_one_that_stops(
    start: Callable[..., Init],
) -> None:
    init = start("stubborn")
    first = init.agent()
    init.process.send_signal(signal.SIGTERM)
    until(lambda: init.said("TERM"))
    os.kill(first, signal.SIGKILL)
    init.agent(2)
    until(lambda: init.said("TERM") == 2)


_PARENT = """
init = os.getppid()
if os.fork() == 0:
    if os.fork() == 0:
        while os.getppid() != init:
            time.sleep(0.01)
        note("orphan")
        os._exit(0)
    os._exit(0)
os.wait()
note("up", True)
time.sleep(60)
"""


def test_orphans_are_waited_for(start: Callable[..., Init]) -> None:
    init = start(program=_INIT + _PARENT)
    init.agent()
    until(lambda: init.said("orphan"))
    (orphan,) = [int(line[0]) for line in init.lines() if line[1:] == ["orphan"]]
    until(lambda: not Path(f"/proc/{orphan}").exists())
