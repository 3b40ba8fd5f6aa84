"""`make dev-airflow`: a whole Airflow beside a server and an agent, for work on the provider.

Starts api-server, scheduler, dag-processor and triggerer of the Airflow that tests use (it is set
up by the first call), `remote-server`, and an agent whose environment of tasks is that Airflow.
The provider is that of this checkout: when a file of it changes, Airflow's programs start again.
Ctrl-C ends everything and removes what was written; logs are kept when something has failed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from demo.airflow_parts import PARTS, PROVIDER, ROOT, VENV, Airflow, provider_state
from demo.programs import Programs
from remote_client.client import Client
from remote_client.errors import ClientError
from remote_protocol.api.tokens import RegistrationTokenCreate
from remote_protocol.ids import Role
from remote_protocol.states import AgentState

_BIN = Path(sys.executable).parent
_READY_WITHIN = 180.0
_SAY_EVERY = 10.0
_KEPT = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR")
"""Of the environment: no AIRFLOW__ or REMOTE_ variable of another deployment."""


class Failed(Exception):
    """What keeps it from running; the text is a sentence with the cure."""


def say(text: str) -> None:
    """A line about the set-up itself."""
    print(f"dev-airflow: {text}", flush=True)


def arguments() -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="make dev-airflow",
        description="A whole Airflow with a server and an agent, until Ctrl-C. Options are given "
        'as ARGS="--airflow-port 8081".',
    )
    port = {"type": int, "metavar": "PORT"}
    parser.add_argument("--airflow-port", default=8080, help="of Airflow (8080)", **port)  # type: ignore[arg-type]
    parser.add_argument("--server-port", default=8750, help="of the server (8750)", **port)  # type: ignore[arg-type]
    parser.add_argument(
        "--dags", type=Path, default=ROOT / "demo" / "dags", help="folder of DAGs (demo/dags)"
    )
    parser.add_argument("--capacity", type=int, default=8, help="tasks at a time (8)")
    return parser.parse_args()


def check_ports(options: argparse.Namespace) -> None:
    """Failed when somebody listens there already."""
    for what, port in (("airflow", options.airflow_port), ("server", options.server_port)):
        with socket.socket() as probe:
            # As servers do: connections that have just ended are in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                probe.listen()
            except OSError as error:
                raise Failed(
                    f"port {port} of 127.0.0.1 cannot be used ({error.strerror}): end what uses "
                    f'it, or name another one: make dev-airflow ARGS="--{what}-port {port + 1}"'
                ) from None


def waited(what: str, done: Callable[[], bool], detail: Callable[[], str]) -> None:
    """Wait for a condition, and say every ten seconds how far it is. Failed."""
    began = time.monotonic()
    say_at = began + _SAY_EVERY
    while not done():
        now = time.monotonic()
        if now - began > _READY_WITHIN:
            raise Failed(f"{what}: not ready within {_READY_WITHIN:.0f} s")
        if now > say_at:
            say(f"{what} ... {now - began:.0f} s  {detail()}")
            say_at += _SAY_EVERY
        time.sleep(0.1)
    say(f"{what}: {time.monotonic() - began:.1f} s")


def set_up() -> None:
    """Have Airflow below build/airflow, once: pinned, hash-checked. Failed."""
    wanted = sum(" \\" in line and "==" in line for line in _lock())
    site = VENV / "lib"
    env = {**os.environ, "PYTHON": sys.executable}
    child = subprocess.Popen(["bash", "tests/airflow/set_up.sh"], cwd=ROOT, env=env)
    began = time.monotonic()
    say_at = began + 1.0
    try:
        while child.poll() is None:
            if time.monotonic() > say_at:
                there = sum(1 for _ in site.glob("python*/site-packages/*.dist-info"))
                state = f"{there} of {wanted} packages" if there else f"{wanted} packages to get"
                passed = time.monotonic() - began
                say(f"setting up Airflow below build/airflow, once ... {passed:.0f} s  {state}")
                say_at += _SAY_EVERY
            time.sleep(0.05)
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()
    if child.returncode:
        raise Failed("Airflow could not be set up, as is said above; the next call goes on")


def _lock() -> list[str]:
    return (ROOT / "requirements" / "airflow.txt").read_text().splitlines()


def start_server(programs: Programs, options: argparse.Namespace) -> tuple[str, Path]:
    """A server; its URL, and the file of its admin's token."""
    url, data = f"http://127.0.0.1:{options.server_port}", programs.folder / "server"
    listen = ("--listen", f"127.0.0.1:{options.server_port}")
    programs.start("server", [_BIN / "remote-server", "run", *listen, "--data-dir", data], {})
    token = data / "admin-token"
    return url, token


def start_agent(programs: Programs, client: Client, url: str, capacity: int) -> None:
    """An agent that has Airflow as the environment `airflow`."""
    state, config = programs.folder / "agent", programs.folder / "agent.toml"
    config.write_text(f'[python]\nenvironments = {{airflow = "{VENV}"}}\nwarm_memory = "1GiB"\n')
    made = client.create_registration_token(RegistrationTokenCreate(uses=1))
    env = {
        "REMOTE_AGENT_PROGRAM_DIR": str(programs.folder / "program"),
        # Ctrl-C ends everything: no job is left running.
        "REMOTE_AGENT_ON_STOP": "cancel",
    }
    program = _BIN / "remote-agent"
    register = [program, "register", "--server", url, "--name", "dev", "--state-dir", state]
    register += ["--capacity", str(capacity)]
    programs.run("agent", register, {**env, "REMOTE_AGENT_TOKEN": made.token})
    run = [program, "run", "--with-parent", "--state-dir", state, "--config", config]
    programs.start("agent", run, env)


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder of this run, removed when all went well."""
    root = Path(tempfile.mkdtemp(prefix="remote-airflow-"))
    try:
        yield root
    except (Failed, RuntimeError):
        say(f"what everybody has said is in {root}/*.log")
        raise
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise
    shutil.rmtree(root, ignore_errors=True)


def run(options: argparse.Namespace) -> None:
    """Start everything, and watch it until Ctrl-C."""
    check_ports(options)
    if not options.dags.is_dir():
        raise Failed(f"{options.dags} is no folder; --dags names one with DAGs in it")
    set_up()
    env = {name: os.environ[name] for name in _KEPT if name in os.environ}
    with folder() as root:
        programs = Programs(root, env)
        try:
            _serve(programs, options)
        finally:
            _hush()
            say("ending everything ...")
            programs.close()


def _serve(programs: Programs, options: argparse.Namespace) -> None:
    url, token = start_server(programs, options)
    operator = programs.folder / "operator-token"
    airflow = Airflow(programs, options.airflow_port, url, operator, options.dags.resolve())
    airflow.write_command()
    waited(
        "a server", lambda: _answers(programs, options.server_port) and token.exists(), lambda: ""
    )
    state = provider_state()
    began = time.monotonic()
    airflow.migrate()
    say(f"Airflow's database: {time.monotonic() - began:.1f} s")
    with Client(url, token.read_text().strip()) as client:
        operator.touch(0o600)
        operator.write_text(client.create_token("airflow", Role.OPERATOR).token)
        airflow.start()
        start_agent(programs, client, url, options.capacity)
        waited(
            "an agent",
            lambda: programs.check() and client.agent("dev").state is AgentState.ONLINE,
            lambda: "",
        )
    wait_for(programs, options)
    introduce(programs, airflow, url, token, options)
    watch(programs, airflow, state, options)


def _answers(programs: Programs, port: int) -> bool:
    with socket.socket() as probe:
        return programs.check() and probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(programs: Programs, options: argparse.Namespace) -> None:
    """Wait until Airflow answers."""
    port = options.airflow_port
    waited(", ".join(PARTS), lambda: _answers(programs, port), lambda: "they import Airflow")


def introduce(
    programs: Programs, airflow: Airflow, url: str, token: Path, options: argparse.Namespace
) -> None:
    """Where everything is, and how to get in."""
    remotectl = shlex.quote(str(_BIN / "remotectl"))
    print(
        f"""
Airflow    {airflow.url}   user admin, password {airflow.password}
server     {url}   sign in with the token in {token}
DAGs       {options.dags}; a change is seen within seconds
provider   {PROVIDER}; a change restarts Airflow's programs
commands   {airflow.command} remote check
           REMOTE_URL={url} REMOTE_TOKEN="$(cat {token})" {remotectl} agent list
logs       tail -f {programs.folder}/*.log
Ctrl-C ends everything and removes {programs.folder}.
""",
        flush=True,
    )


def watch(
    programs: Programs, airflow: Airflow, state: dict[str, int], options: argparse.Namespace
) -> None:
    """Restart Airflow's programs when the provider changes. RuntimeError when a program ends."""
    while True:
        time.sleep(0.5)
        programs.check()
        now = provider_state()
        changed = sorted(name for name in state | now if state.get(name) != now.get(name))
        if changed:
            state = now
            say(f"{', '.join(changed)} changed: Airflow's programs start again")
            airflow.stop()
            airflow.start()
            wait_for(programs, options)


def _hush() -> None:
    """A second Ctrl-C must not interrupt the cleaning up, which takes some seconds."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _terminated(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run it; 0 after a Ctrl-C."""
    options = arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminated)
    try:
        run(options)
    except KeyboardInterrupt:
        say("everything has ended and was removed")
        return 0
    except (Failed, RuntimeError, ClientError) as error:
        print(f"dev-airflow: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
