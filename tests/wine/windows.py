"""A Windows agent in Wine beside a server on Linux: the stack of the end-to-end tests, extended.

`WINE` in the environment names the folder that `tests/wine/setup.sh` has made. All state lies
below it, because only that is seen from inside.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.stack import Agent, Stack, until

ROOT = Path(__file__).resolve().parents[2]
INSIDE = Path(__file__).with_name("inside.py")
SLOW = 60.0
"""A Python takes two seconds to start in Wine, and more on a busy machine."""


def wine_folder() -> Path:
    """The folder with Wine. AssertionError says how to get one."""
    folder = os.environ.get("WINE", "")
    assert folder and (Path(folder) / "w").exists(), (
        f"WINE={folder!r} names no folder with Wine: as root, bash tests/wine/setup.sh FOLDER "
        "makes one in three minutes; then make test-wine WINE=FOLDER"
    )
    return Path(folder)


def inside(*arguments: object) -> list[object]:
    """The command line that runs a module of the working copy in the Windows Python."""
    return [wine_folder() / "w", "python", f"Z:{INSIDE}", ROOT, *arguments]


def windows(path: Path) -> str:
    """A path of Linux as Windows programs there see it."""
    return "Z:" + str(path).replace("/", "\\")


def run_inside(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a module of the working copy in the Windows Python and wait for its end."""
    done = subprocess.run(
        [str(word) for word in inside(*arguments)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * SLOW,
        check=False,
    )
    assert not check or done.returncode == 0, f"{done.args}: {done.stdout}{done.stderr}"
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

    def close(self) -> None:
        """End what joins its output to ours: that waits for shims too, which live on."""
        if self.running:
            super().kill()

    def cli(self, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a `remote-agent` command on the same state directory."""
        command, *rest = arguments
        place = ("--state-dir", windows(self.state_dir))
        return run_inside("remote_agent", command, *place, *rest, check=check)

    def kill(self) -> None:
        """TerminateProcess, as a crash does; returns when it is gone."""
        terminate(int((self.state_dir / "lock").read_text()))
        self.close()

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
        agent.plain = [str(word) for word in inside("remote_agent", "run", *place)]
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
    return windows(wine_folder() / "py" / "python.exe")


def make_room(name: str) -> Path:
    """An empty folder that both sides see."""
    room = wine_folder() / "run" / name
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir(parents=True)
    return room


def stop_wine() -> None:
    """End every process of this Wine."""
    subprocess.run([str(wine_folder() / "w"), "wineserver", "-k"], cwd=ROOT, check=False)
