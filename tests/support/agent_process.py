"""A real agent process on a state directory of its own, for tests that kill and restart it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from remote_agent.connection.identity import Identity, save_identity
from remote_agent.local.control import NotRunning, ask
from remote_agent.processes import alive
from tests.support.fake_server import TOKEN, until


class AgentProcess:
    """`async with AgentProcess(tmp_path, url) as agent`: registered, running, ended at the end."""

    def __init__(self, folder: Path, url: str, config: str = "", **identity: Any) -> None:
        self.state = folder / "state"
        self.file = folder / "agent.toml"
        self.file.write_text(config)
        self.output = folder / "agent.out"
        save_identity(self.state, Identity(server=url, name="fake", token=TOKEN, **identity))
        self.process: asyncio.subprocess.Process | None = None
        self.before_exec: Callable[[], None] | None = None
        """What its process does before it becomes the agent."""

    async def start(self, *flags: str, **environment: str) -> None:
        """Start it (again)."""
        command = [sys.executable, "-m", "remote_agent", "run", "--config", str(self.file)]
        with self.output.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *command,
                "--state-dir",
                str(self.state),
                *flags,
                stdout=output,
                stderr=output,
                stdin=asyncio.subprocess.DEVNULL,
                env={**os.environ, "REMOTE_AGENT_SERVER_MAX_RECONNECT_WAIT": "1s", **environment},
                preexec_fn=self.before_exec,
            )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    @property
    def log(self) -> str:
        """All that it has said."""
        return self.output.read_text(errors="replace")

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    async def wait(self, seconds: float = 60.0) -> int:
        """Its exit code."""
        assert self.process is not None
        try:
            return await asyncio.wait_for(self.process.wait(), seconds)
        except TimeoutError:
            raise AssertionError(f"the agent does not end; it said:\n{self.log}") from None

    async def kill(self) -> None:
        """kill -9."""
        self.signal(signal.SIGKILL)
        await self.wait()

    async def end(self) -> None:
        """Kill it and every shim that it left, and wait until none is there."""
        if self.process is not None and self.process.returncode is None:
            await self.kill()
        left: list[tuple[int, str]] = []
        for started in (self.state / "attempts").glob("*/started.json"):
            with suppress(ValueError, KeyError, OSError):
                pids = json.loads(started.read_bytes())
                for name, born in (("pid", "start_time"), ("shim_pid", "shim_start_time")):
                    left.append((pids[name], pids[born]))
                    if alive(*left[-1]):
                        with suppress(ProcessLookupError):  # it has ended meanwhile
                            os.kill(pids[name], signal.SIGKILL)
        await until(lambda: not any(alive(*one) for one in left), "its shims have ended")

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """A request through the control socket."""
        return ask(self.state, {"do": do, **more})

    async def control_up(self) -> None:
        """Wait until it can be asked."""

        def up() -> bool:
            try:
                return bool(self.ask("status"))
            except NotRunning:
                return False

        await until(up, "the control socket answers")


def spread(state: Path) -> set[str]:
    """Names of the attempts whose directories are there."""
    return {path.name for path in (state / "attempts").glob("[0-9]*") if path.is_dir()}


def wall() -> float:
    """Unix time."""
    return time.time()
