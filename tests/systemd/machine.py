"""A booted systemd in a container over a root, copy-on-write; by default this machine's own.

Needs root, a mount namespace of its own (`unshare -m`) and systemd-nspawn. Everything that is
started is ended by its pid; SIGTERM has systemd-nspawn power its systemd off in an orderly way.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

DEADLINE = 120.0
"""Seconds after which something is taken to hang, on a machine that has more to do."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KERNEL = (
    "systemd.log_target=journal",
    "systemd.mask=systemd-networkd-wait-online.service",
    "systemd.mask=NetworkManager-wait-online.service",
    # At midnight, or as late as that is made up for, timers of packages write to this disk.
    "systemd.mask=timers.target",
)
_ENABLED = ("multi-user.target.wants/*.service", "sockets.target.wants/*.socket")
_GROUPS = Path("/sys/fs/cgroup")
_IN_GROUP = f"""\
name=$1; shift
for top in {_GROUPS}/unified {_GROUPS}/systemd; do
  [ -e "$top" ] && mkdir -p "$top/$name" && echo $$ >"$top/$name/cgroup.procs"
done
exec "$@"
"""
"""Starts a program in a control group of its own: below that of systemd-nspawn are those of the
container, each time by the same name."""
_REBOOTS = 133
"""Exit code of systemd-nspawn when its systemd wants to boot again."""
T = TypeVar("T")


def until(condition: Callable[[], T], what: str, deadline: float = DEADLINE) -> T:
    """The condition's value once it is true."""
    end = time.monotonic() + deadline
    while not (value := condition()):
        assert time.monotonic() < end, f"did not happen within {deadline:g} s: {what}"
        time.sleep(0.05)
    return value


class Machine:
    """One container. `root` is its file system, made below `folder`; usable before it is booted."""

    def __init__(self, folder: Path, base: Path = Path("/")) -> None:
        self.folder = folder
        self._base = base
        self.root = folder / "root"
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._name = f"remote-test-{os.getpid()}"
        self.leader = 0

    def __enter__(self) -> Self:
        lower, upper = self.folder / "lower", self.folder / "upper"
        for path in (lower, upper, self.root):
            path.mkdir(parents=True)
        _call("mount", "--bind", self._base, lower)  # without what is mounted below it
        _call("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", upper)
        (upper / "data").mkdir()
        (upper / "work").mkdir()
        options = f"lowerdir={lower},upperdir={upper}/data,workdir={upper}/work"
        _call("mount", "-t", "overlay", "-o", options, "overlay", self.root)
        # Somebody may have tried an agent on the machine below.
        for name in ("etc/remote-agent", "var/lib/remote-agent", "var/lib/remote-agent-program"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        return self

    def __exit__(self, *exc: object) -> None:
        self.power_off()
        for top in _GROUPS.glob(f"*/{self._name}"):
            for folder, _, _ in os.walk(top, topdown=False):
                with suppress(OSError):  # one of a process that has not quite gone
                    os.rmdir(folder)
        for name in ("root", "upper", "lower"):
            # Lazily: what has just been killed may not be gone yet.
            _call("umount", "--lazy", self.folder / name)

    def boot(self) -> None:
        """Start systemd, again after its end, and wait until it has started what it is to start."""
        console = (self.folder / "console").open("wb")
        with console:
            self._nspawn = subprocess.Popen(
                [
                    # A run that is killed leaves no container.
                    *("setpriv", "--pdeathsig", "TERM"),
                    # Two runs at a time, and what a killed one has left, are apart.
                    *("sh", "-c", _IN_GROUP, "sh", self._name),
                    *("systemd-nspawn", "-q", "-D", str(self.root)),
                    f"--machine={self._name}",
                    *("--register=no", "--keep-unit", "--private-network", "--resolv-conf=off"),
                    *("--console=pipe", "-b", *_KERNEL, *self._masks()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                start_new_session=True,
            )
        until(self._booted, "systemd boots in the container")

    def _masks(self) -> list[str]:
        """What this machine happens to have installed is no part of the test: its services do not
        start in the container."""
        enabled = self._base / "etc" / "systemd" / "system"
        found = {path.name for pattern in _ENABLED for path in enabled.glob(pattern)}
        return [f"systemd.mask={name}" for name in sorted(found)]

    def reboot(self) -> None:
        """As `systemctl reboot` does; returns when it has started again."""
        assert self._nspawn is not None
        self.call("systemctl", "reboot", "--no-block")
        assert self._nspawn.wait(DEADLINE) == _REBOOTS
        self.boot()

    def power_off(self) -> None:
        """End it; twice is once."""
        if self._nspawn is None or self._nspawn.poll() is not None:
            return
        self._nspawn.send_signal(signal.SIGTERM)
        self._nspawn.wait(DEADLINE)

    def _booted(self) -> bool:
        assert self._nspawn is not None
        text = (self.folder / "console").read_text(errors="replace")
        assert self._nspawn.poll() is None, f"systemd-nspawn has ended:\n{text}"
        self.leader = self._find_leader()
        if not self.leader:
            return False
        state = self.run("systemctl", "is-system-running").stdout.strip()
        return state in ("running", "degraded")

    def _find_leader(self) -> int:
        assert self._nspawn is not None
        task = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        children = task.read_text().split()
        return int(children[0]) if children else 0

    # Inside --------------------------------------------------------------------------------

    def run(
        self, *command: object, env: Mapping[str, str] | None = None, timeout: float = 300.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside, as root and with an environment of its own."""
        return subprocess.run(
            self.command(*command, env=env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def command(self, *command: object, env: Mapping[str, str] | None = None) -> list[str]:
        """What runs a program inside."""
        given = {"PATH": _PATH, "HOME": "/root", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
        words = [f"{name}={value}" for name, value in (given | dict(env or {})).items()]
        # nsenter stops with what it has started: a power-off would wait for it.
        orphaned = ["setpriv", "--pdeathsig", "KILL"]
        enter = ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C", "--"]
        return [*orphaned, *enter, "/usr/bin/env", "-i", "-C", "/", *words, *map(str, command)]

    def call(self, *command: object, env: Mapping[str, str] | None = None) -> str:
        """The same; its output. AssertionError with all it said when it failed."""
        done = self.run(*command, env=env)
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{said(done)}"
        return done.stdout

    def put(self, source: Path, path: str) -> None:
        """Copy a folder of the checkout to a path inside."""
        shutil.copytree(source, self.root / path.lstrip("/"))

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.call("systemctl", "show", unit, "-p", name, "--value").strip()

    def changed(self) -> set[tuple[str, str]]:
        """What is not as on the machine below: each path with its kind, mode and owner."""
        top = self.folder / "upper" / "data"
        found = set()
        for folder, folders, files in os.walk(top):
            for name in (*folders, *files):
                path = Path(folder, name)
                inner, what = str(path.relative_to(top)), _what(path)
                # Writing into a folder brings it here; that it is here says nothing.
                if name not in folders or what != _what(self.folder / "lower" / inner):
                    found.add((f"/{inner}", what))
        return found


def _what(path: Path) -> str:
    """What lies at a path; empty for nothing."""
    try:
        info = path.lstat()
    except FileNotFoundError:
        return ""
    return f"{stat.filemode(info.st_mode)} {info.st_uid} {info.st_gid}"


def said(done: subprocess.CompletedProcess[Any]) -> str:
    """All that a program has said."""
    return f"{done.stdout}{done.stderr}"


def _call(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True)


def missing(programs: Sequence[str]) -> list[str]:
    """Those of these programs that this machine lacks."""
    return [name for name in programs if shutil.which(name) is None]
