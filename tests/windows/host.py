"""A Windows agent in Wine beside a server on Linux: the stack of the end-to-end tests, extended."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.stack import Agent, Stack, until
from tests.windows.wine import PYTHON, ROOT, RUN, inside, processes, windows

SLOW = 60.0
"""A Python takes two seconds to start in Wine, and more on a busy machine."""
WAITS = (
    "import os, sys, time\n"
    "print('line 0', flush=True)\n"
    "number = 0\n"
    "while not os.path.exists(sys.argv[1]):\n"
    "    number += 1; print('line', number, flush=True); time.sleep(0.05)\n"
    "print('last', number, flush=True)"
)
"""A program that counts until the file that it is given appears."""


def run_inside(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a module of the working copy in the Windows Python and wait for its end."""
    return run(inside(*arguments), 2 * SLOW, check)


def run(
    command: list[str], deadline: float, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command and wait for its end. AssertionError with all processes when it hangs."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=deadline,
            check=False,
        )
    except subprocess.TimeoutExpired as hung:
        said = (hung.stdout or b"") + (hung.stderr or b"")
        raise AssertionError(
            f"{command} hangs, having said {said!r}; these run:\n{processes()}"
        ) from None
    assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done


def terminate(pid: int) -> None:
    """TerminateProcess: the kill -9 of Windows."""
    run_inside("python", f"import os; os.kill({pid}, 9)")


def alive(mark: str) -> list[int]:
    """The processes, as Linux numbers them, that have this word in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in words and b"inside.py" not in words:
                found.append(int(entry.name))
    return found


class WindowsAgent(Agent):
    """A registered agent in Wine. `plain` is the command that starts it without a detour."""

    plain: list[str]

    def cli(self, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a `remote-agent` command on the same state directory."""
        command, *rest = arguments
        place = ("--state-dir", windows(self.state_dir))
        return run_inside("remote_agent", command, *place, *rest, check=check)

    def kill(self) -> None:
        """TerminateProcess, as a crash does; returns when it is gone."""
        terminate(int((self.state_dir / "lock").read_text()))
        self.wait(SLOW)

    def status(self) -> dict[str, Any]:
        """What the running agent says about itself."""
        answer = self.cli("status", "--output", "json").stdout
        found: dict[str, Any] = json.loads(answer[answer.index("{") :])
        return found


class WineStack(Stack):
    """A server on Linux, agents in Wine."""

    def windows_agent(self, name: str, through: Sequence[object] = ()) -> WindowsAgent:
        """Register and start an agent and wait until it is online. `through`: a module with
        arguments that starts it."""
        state_dir = self.root / f"agent-{name}"
        token = self.root / f"{name}.token"
        token.write_text(self.registration_token())
        place = ("--state-dir", windows(state_dir))
        run_inside(
            *("remote_agent", "register", *place, "--server", self.url, "--name", name),
            *("--capacity", 4, "--label", f"named={name}", "--token-file", windows(token)),
        )
        command = inside(*through, "remote_agent", "run", *place)
        agent = WindowsAgent(f"agent {name}", command, self.env(), self.root / f"agent-{name}.out")
        agent.state_dir = state_dir
        agent.plain = inside("remote_agent", "run", *place)
        self.agents[name] = agent
        self.start_windows(agent)
        return agent

    def start_windows(self, agent: Agent) -> None:
        """Start an agent (again) and wait until it is online."""
        agent.start()
        name = agent.state_dir.name.removeprefix("agent-")
        until(lambda: self._is_online(name, agent), f"{agent.name} is online", SLOW)

    def _is_online(self, name: str, agent: Agent) -> bool:
        assert agent.running, f"{agent.name} ended:\n{agent.words()}"
        return str(self.client.agent(name).state) == "online"

    def python(self, code: str, *words: str, **fields: Any) -> Any:
        """Submit a job that runs Python code on the Windows host."""
        return self.submit(command=[python_program(), "-c", code, *words], **fields)


def python_program() -> str:
    """The Windows Python's program, as a job there names it."""
    return windows(PYTHON)


def make_folder(name: str) -> Path:
    """A folder that both sides see."""
    folder = RUN / name
    folder.mkdir(parents=True)
    return folder
