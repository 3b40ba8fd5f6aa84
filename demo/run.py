"""`make demo`: a server, an agent, and three real jobs side by side, live.

One job compiles and checks real packages of the standard library with thousands of lines of
output, one fails with a meaningful exit code, one is cancelled half-way. Ends with a table, exit
code 0 when all ended as intended, and leaves nothing behind. Uses the public interfaces only: the
command lines and the Python client.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from demo.acts import Act, acts, judge
from remote_client.client import Client
from remote_client.errors import ClientError
from remote_protocol.api.tokens import RegistrationTokenCreate
from remote_protocol.states import AgentState
from remote_protocol.units import format_duration, format_size

_BIN = Path(sys.executable).parent
_AGENT = Path(os.environ.get("AGENT") or _BIN / "remote-agent").absolute()
"""The agent's program: this checkout's, or a binary of `make build`."""
_COLOURS = {"check": "36", "fails": "31", "cancelled": "33"}
_SHOWN = 12
"""Lines of each job that are shown whole; of the rest, one in fifty."""


class Stage:
    """The processes of the demo, ended in reverse order whatever happens."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="remote-demo-"))
        self.env = {**os.environ, "REMOTE_AGENT_PROGRAM_DIR": str(self.root / "program")}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._kept, self.port = _free_port()
        """The server's port."""

    def start(self, name: str, *command: object) -> None:
        """Start a program with its output in a file."""
        with (self.root / f"{name}.log").open("wb") as output:
            self._processes.append(
                subprocess.Popen(
                    [str(part) for part in command],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env={**self.env, "REMOTE_AGENT_ON_STOP": "cancel"},
                    start_new_session=True,
                )
            )

    def check(self) -> None:
        """RuntimeError with the last words of a program that has ended."""
        for process in self._processes:
            if process.poll() is not None:
                name = Path(str(process.args[0])).name  # type: ignore[index]
                text = "".join(log.read_text() for log in self.root.glob("*.log"))
                raise RuntimeError(f"{name} ended with {process.returncode}:\n{text[-2000:]}")

    def close(self) -> None:
        """End everything and remove the directory."""
        for process in reversed(self._processes):
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
            if process.poll() is None:
                process.kill()
                process.wait()
        self._kept.close()
        shutil.rmtree(self.root, ignore_errors=True)


@contextlib.contextmanager
def running_system() -> Iterator[Client]:
    """A server and an agent of four places; gives an admin's client."""
    stage = Stage()
    try:
        port = stage.port
        url, data = f"http://127.0.0.1:{port}", stage.root / "server"
        say(f"starting a server on {url} and an agent, data in {stage.root}")
        stage.start(
            "server",
            _BIN / "remote-server",
            "run",
            "--listen",
            f"127.0.0.1:{port}",
            "--data-dir",
            data,
        )
        token = data / "admin-token"
        _until(lambda: token.exists() and _listens(port), stage, "the server")
        with Client(url, token.read_text().strip()) as client:
            state, secret = stage.root / "agent", stage.root / "registration-token"
            secret.touch(0o600)
            secret.write_text(
                client.create_registration_token(RegistrationTokenCreate(uses=1)).token
            )
            register: list[str | Path] = [
                _AGENT,
                "register",
                "--server",
                url,
                "--token-file",
                secret,
            ]
            subprocess.run(
                [*register, "--name", "demo-agent", "--capacity", "4", "--state-dir", state],
                check=True,
                stdout=subprocess.DEVNULL,
                env=stage.env,
            )
            stage.start("agent", _AGENT, "run", "--state-dir", state)
            _until(
                lambda: client.agent("demo-agent").state is AgentState.ONLINE, stage, "the agent"
            )
            try:
                yield client
            finally:
                _hush()
                _end_jobs(client)
    finally:
        _hush()
        stage.close()


def _hush() -> None:
    """A second Ctrl-C must not interrupt the cleaning up, which takes a few seconds at most."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _end_jobs(client: Client) -> None:
    """Agents leave jobs running by design; those of the demo must not outlive it."""
    with contextlib.suppress(ClientError), client.again() as other:
        running = [
            job.id
            for state in ("queued", "assigned", "running")
            for job in other.jobs(state=state).items
        ]
        for job in running:
            other.cancel(job, "the demo ends")
        for job in running:
            other.wait(job, 15)


def play(client: Client, act: Act, lock: threading.Lock) -> None:
    """Submit one job, show its output, cancel it if that is its part, wait for its end."""
    try:
        job = client.submit(act.spec)
        for record in client.follow_log(job.id):
            for line in record.data.decode("utf-8", "replace").splitlines():
                act.lines += 1
                if act.lines <= _SHOWN or act.lines % 50 == 0:
                    show(act.name, line, record.stream == "stderr", lock)
                if act.lines == act.cancel_after_lines:
                    show(act.name, "— cancelled from the outside now —", False, lock)
                    client.again().cancel(job.id, "half of the demo is over")
        act.job = client.wait(job.id, 60)
    except ClientError as error:
        act.problems.append(str(error))
    except BrokenPipeError:
        act.unread = True


def print_summary(played: list[Act]) -> None:
    """One line a job."""
    names = ("job", "state", "exit", "ran", "submit→start", "lines", "log")
    print("\n{:<11}{:<11}{:>5}{:>9}{:>14}{:>8}{:>11}  how it ended".format(*names))
    for act in played:
        job = act.job
        if job is None:
            print(f"{act.name:<11}?")
            continue
        ran = delay = ""
        if job.started_at and job.ended_at:
            ran = format_duration((job.ended_at - job.started_at).total_seconds())
            delay = f"{(job.started_at - job.created_at).total_seconds() * 1000:.1f} ms"
        code = "" if job.exit_code is None else str(job.exit_code)
        text = paint(f"{job.state.value:<11}", _COLOURS[act.name])
        print(
            f"{act.name:<11}{text}{code:>5}{ran:>9}{delay:>14}{act.lines:>8}"
            f"{format_size(job.log_size):>11}  {job.end_detail or ''}"
        )


def say(sentence: str) -> None:
    """A sentence about the demo itself."""
    print(paint(f"demo: {sentence}", "1"), flush=True)


def show(name: str, line: str, error: bool, lock: threading.Lock) -> None:
    """One line of a job's output after its coloured name."""
    head = f"{name:>9} {'!' if error else '|'}"
    # One line on a terminal of any width: a wrapped one breaks the column of names.
    room = (shutil.get_terminal_size().columns if sys.stdout.isatty() else 162) - len(head) - 2
    with lock:
        print(f"{paint(head, _COLOURS[name])} {line[:room]}", flush=True)


def paint(text: str, colour: str) -> str:
    """ANSI colour on a terminal, plain text elsewhere and with NO_COLOR (no-color.org)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def _free_port() -> tuple[socket.socket, int]:
    """A port, and the socket that keeps others from getting it. It does not listen: a server may be
    bound beside it (SO_REUSEADDR), but on Linux only. Elsewhere it is closed already."""
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    port: int = kept.getsockname()[1]
    if sys.platform != "linux":
        kept.close()
    return kept, port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _until(condition: object, stage: Stage, what: str) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 30
    while not condition():
        stage.check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} was not ready within 30 s")
        time.sleep(0.02)


def _terminated(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Play the demo; 0 when every job ended as intended."""
    signal.signal(signal.SIGTERM, _terminated)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an old character set has no arrows
    played = acts()
    try:
        with running_system() as client:
            say("three jobs side by side; lines of long output are shown in part")
            lock = threading.Lock()
            threads = [
                threading.Thread(target=play, args=(client.again(), act, lock), daemon=True)
                for act in played
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if any(act.unread for act in played):
                raise BrokenPipeError
    except KeyboardInterrupt:
        say("interrupted; everything was stopped and removed")
        return 130
    except BrokenPipeError:
        # `make demo | head`: what is left must not raise again when Python flushes it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (RuntimeError, ClientError, subprocess.CalledProcessError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    for act in played:
        judge(act)
    print_summary(played)
    problems = [f"{act.name}: {problem}" for act in played for problem in act.problems]
    for problem in problems:
        print(f"demo: NOT as intended: {problem}", file=sys.stderr)
    if not problems:
        say("all three ended as intended; nothing was left behind")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
