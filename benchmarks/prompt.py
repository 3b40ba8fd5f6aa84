"""A command at the prompt: what `remotectl` costs, beside Python itself and ssh, in one run.

Usage: python -m benchmarks.prompt [--rounds 15] [--before FILE]

The rounds go through all commands in turn, so that a busy moment meets all of them. `--before`
names the `remotectl` of another version; ssh is measured where openssh-server is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.bed import bed, table, wait_until
from tests.support.ports import free_port

_NOT_KEPT = ("PYTHON", "REMOTE_", "_REMOTE")
_BIN = Path(sys.executable).parent
_KEPT = "ssh, a connection that is kept"
Commands = dict[str, tuple[Sequence[str], dict[str, str]]]


def commands(program: str, access: dict[str, str], after: str = "") -> Commands:
    """What people do at a prompt, with its environment."""
    words = {"COMP_WORDS": "remotectl run --queue", "COMP_CWORD": ""}
    tab = {"_REMOTECTL_COMPLETE": "fish_complete", **words}
    return {
        f"remotectl --version{after}": ([program, "--version"], access),
        f"TAB, names of queues{after}": ([program], access | tab),
        f"remotectl job list{after}": ([program, "job", "list"], access),
        f"remotectl run -- true{after}": ([program, "run", "--", "true"], access),
    }


@contextlib.contextmanager
def ssh(root: Path) -> Iterator[Commands]:
    """`ssh true` to a server of our own on loopback: a new connection, and one that is kept."""
    server = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if server is None or shutil.which("ssh") is None:
        yield {}
        return
    for name in ("host", "user"):
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / name)]
        subprocess.run(key, check=True)
    (root / "user.pub").rename(root / "keys")
    Path("/run/sshd").mkdir(exist_ok=True)
    port = str(free_port())
    options = [
        "ListenAddress=127.0.0.1", f"AuthorizedKeysFile={root}/keys", "StrictModes=no",
        "UsePAM=no", "PidFile=none",
    ]  # fmt: skip
    given = [word for option in options for word in ("-o", option)]
    daemon = subprocess.Popen(
        [server, "-D", "-p", port, "-h", str(root / "host"), *given], stderr=subprocess.DEVNULL
    )
    base = [
        "ssh", "-p", port, "-i", str(root / "user"), "-o", "StrictHostKeyChecking=no",
        "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes",
    ]  # fmt: skip
    kept = [*base, "-o", f"ControlPath={root}/kept", "-o", "ControlMaster=auto",
            "-o", "ControlPersist=60"]  # fmt: skip
    try:
        plain = [*base, "127.0.0.1", "true"]
        wait_until(
            lambda: subprocess.run(plain, check=False, stderr=subprocess.DEVNULL).returncode == 0,
            "sshd",
        )
        yield {
            "ssh, a new connection": (plain, {}),
            _KEPT: ([*kept, "127.0.0.1", "true"], {}),
        }
        close = [*kept, "-O", "exit", "127.0.0.1"]
        subprocess.run(close, check=False, stderr=subprocess.DEVNULL)
    finally:
        daemon.terminate()
        daemon.wait(10)


def measure(chosen: Commands, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Milliseconds of every command in every round, passed and of CPU, after one to warm up."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in chosen}
    # Whether compiled modules are kept is not what is measured: they are.
    clean = {key: value for key, value in os.environ.items() if not key.startswith(_NOT_KEPT)}
    for number in range(rounds + 1):
        for name, (command, extra) in chosen.items():
            env = clean | extra
            began, used = time.perf_counter(), _cpu()
            subprocess.run(
                command, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            if number:
                passed = time.perf_counter() - began
                found[name].append((passed * 1000, (_cpu() - used) * 1000))
    return found


def _cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--before", help="remotectl of another version")
    options = parser.parse_args()
    with bed() as place, ssh(place.root) as others:
        access = {"REMOTE_URL": place.url, "REMOTE_TOKEN": place.token}
        chosen: Commands = {"python -c pass": ([sys.executable, "-c", "pass"], {})}
        chosen |= commands(str(_BIN / "remotectl"), access)
        if options.before:
            chosen |= commands(options.before, access, ", before")
        found = measure(chosen | others, options.rounds)
    rows = []
    kept = [passed for passed, _ in found.get(_KEPT, ())]
    for name, times in found.items():
        passed, used = zip(*times, strict=True)
        median, cpu = statistics.median(passed), statistics.median(used)
        figure = (
            f"{median:.0f} ms, at best {min(passed):.0f} ms, "
            f"{cpu:.0f} (at best {min(used):.0f}) ms of CPU"
        )
        aim = ""
        if kept and name.startswith("remotectl run"):
            ratios = [one / other for one, other in zip(passed, kept, strict=True)]
            figure += f"; {statistics.median(ratios):.2f} of ssh's that is kept"
            aim = "≤ 1.2"
        rows.append((name, figure, aim))
    table("A command at the prompt", rows)


if __name__ == "__main__":
    main()
