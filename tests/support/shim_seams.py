"""Shims with what the product does not have yet: a filter, and a workload by a command line.

    python -I -S tests/support/shim_seams.py ROLE …

is a shim process as `remote_agent.shim` starts it, with the filter `redact` and the workload
`container`, of which the shim's own modules know nothing. Standard library only.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from remote_agent.processes import ExitStatus, ExitWatch, Swept, Usage
    from remote_agent.shim.order import Order
    from remote_agent.shim.workload import JobPipes


class Redact:
    """Puts stars in place of the values of secrets, wherever the reads cut them."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._values = [value.encode() for value in secrets.values()]
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """All but what may be the beginning of a secret."""
        data = self._held + data
        for value in self._values:
            data = data.replace(value, b"***")
        keep = max((self._begun(data, value) for value in self._values), default=0)
        data, self._held = data[: len(data) - keep], data[len(data) - keep :]
        return data

    @staticmethod
    def _begun(data: bytes, value: bytes) -> int:
        sizes = range(min(len(data), len(value) - 1), 0, -1)
        return next((size for size in sizes if data.endswith(value[:size])), 0)

    def flush(self) -> bytes:
        """What was no secret after all."""
        held, self._held = self._held, b""
        return held


class ContainerWorkload:
    """A `Workload` that runs its job by a container engine's command line (`options["engine"]`)."""

    note = ""
    peak = 0
    check_at = None

    def __init__(self, order: Order, guarded: bool) -> None:
        self._order = order
        self._engine = str(order.options["engine"])
        self._name = f"job-{order.key}"
        self._watch: ExitWatch | None = None
        self._used: Usage | None = None
        self.pid = 0

    def start(self, pipes: JobPipes, env: Mapping[str, str]) -> None:
        """Secrets go through the environment of the engine's client, not its command line."""
        from remote_agent.processes import spawn, watch_exit

        order = self._order
        names = [word for name in sorted(env) for word in ("--env", name)]
        argv = [self._engine, "run", "--name", self._name, *names, str(order.options["image"])]
        output = (pipes.stdout, pipes.stderr)
        self.pid = spawn([*argv, *order.argv], env, order.cwd, output, stdin=pipes.stdin)
        self._watch = watch_exit(self.pid)

    def identity(self) -> dict[str, Any]:
        """The client's process, and the container's name."""
        from remote_agent.processes import start_time

        return {"pid": self.pid, "start_time": start_time(self.pid), "container": self._name}

    def waitable(self) -> int:
        """Ready when the client has exited."""
        assert self._watch is not None
        return self._watch.waitable()

    def reap(self) -> ExitStatus | None:
        """Of the client: it exits as the container did."""
        from remote_agent.processes import exit_status

        assert self._watch is not None
        if (ended := self._watch.reap()) is None:
            return None
        status, self._used = ended
        return exit_status(status)

    def _call(self, *words: str) -> str:
        command = [self._engine, *words, self._name]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def interrupt(self, signal: str) -> str:
        """By the engine."""
        self._call("kill", "--signal", signal)
        return f"{signal} to the container"

    def kill(self) -> None:
        """By the engine."""
        self._call("kill", "--signal", "SIGKILL")

    def over_memory(self, now: float) -> bool:
        """The engine's own limit does it."""
        return False

    def sweep(self) -> Swept:
        """Remove the container."""
        from remote_agent.processes import Swept

        self._call("rm", "--force")
        return Swept(0, 0.0, 0.0, 0)

    def detach(self) -> None:
        """Nothing of a container outlives it."""

    def killed_for_memory(self) -> bool:
        """As the engine says."""
        return self._call("inspect").strip() == "oom"

    def usage(self) -> Usage:
        """Of the client; a real one would ask the engine."""
        assert self._used is not None
        return self._used

    def close(self) -> None:
        """Close the watch."""
        if self._watch is not None:
            self._watch.close()


@contextmanager
def extended_client() -> Iterator[None]:
    """Whatever is started meanwhile has these shims."""
    from remote_agent.shim import launcher_client

    plain = launcher_client.shim_command  # type: ignore[attr-defined]

    def command(*arguments: str) -> list[str]:
        python, *options, script, path = plain()
        return [python, *options, __file__, script, path.removeprefix("--path="), *arguments]

    launcher_client.shim_command = command  # type: ignore[attr-defined]
    try:
        yield
    finally:
        launcher_client.shim_command = plain  # type: ignore[attr-defined]


def main(script: Path, shared: str, arguments: list[str]) -> int:
    """Be a shim process."""
    sys.path[:0] = [str(script.parents[2]), shared]
    from remote_agent.shim.__main__ import main as shim
    from remote_agent.shim.filters import FILTERS, Filters
    from remote_agent.shim.workload import WORKLOADS

    FILTERS["redact"] = lambda order, secrets: Filters(lambda: Redact(secrets))
    WORKLOADS["container"] = ContainerWorkload
    return shim(arguments)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
