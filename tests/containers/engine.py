"""A container engine of the tests' own: `docker` with a dockerd that nobody else reaches.

Needs root and network, mount and process namespaces of its own, as `make test-containers` has them:
whatever ends that run, engine, containers and files end with it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self, TypeVar

ROOT: Final = Path(__file__).resolve().parents[2]
MADE: Final = ROOT / "build" / "containers"
"""The base image and wheels, made by set_up.sh."""
DOCKER: Final = "/usr/bin/docker"
_GROUPS: Final = Path("/sys/fs/cgroup")
DEADLINE: Final = 120.0
"""Seconds after which something is taken to hang, on a machine that has more to do."""
T = TypeVar("T")


def until(condition: Callable[[], T], what: str, deadline: float = DEADLINE) -> T:
    """The condition's value once it is true."""
    end = time.monotonic() + deadline
    while not (value := condition()):
        assert time.monotonic() < end, f"did not happen within {deadline:g} s: {what}"
        time.sleep(0.1)
    return value


class Engine:
    """One dockerd, with all its files in a file system in memory."""

    group = "remote-test-containers"
    """The control group that its containers are in."""

    def __init__(self) -> None:
        self.folder = Path("/run/containers")
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "DOCKER_HOST": f"unix://{self.folder}/docker.sock",
            "DOCKER_BUILDKIT": "1",
        }
        self._dockerd: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        assert len(socket.if_nameindex()) == 1, "make test-containers gives a network of its own"
        _call("ip", "link", "set", "lo", "up")
        # Sockets, locks and namespaces of engines are kept there, too.
        _call("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
        self.folder.mkdir()
        _remove_groups(self.group)
        output = (self.folder / "dockerd.log").open("wb")
        with output:
            self._dockerd = subprocess.Popen(
                [
                    *("dockerd", "-s", "overlay2", "-H", f"unix://{self.folder}/docker.sock"),
                    *("--data-root", str(self.folder / "data"), "-p", str(self.folder / "pid")),
                    *(
                        "--exec-root",
                        str(self.folder / "exec"),
                        "--cgroup-parent",
                        f"/{self.group}",
                    ),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        until(self._answers, "dockerd answers")
        return self

    def __exit__(self, *exc: object) -> None:
        found = self.run("ps", "-aq").stdout.split()
        if found:
            self.run("rm", "-f", "-v", *found)
        assert self._dockerd is not None
        self._dockerd.send_signal(signal.SIGTERM)
        self._dockerd.wait(DEADLINE)
        _remove_groups(self.group)

    def _answers(self) -> bool:
        assert self._dockerd is not None
        log = (self.folder / "dockerd.log").read_text(errors="replace")
        assert self._dockerd.poll() is None, f"dockerd has ended:\n{log}"
        return self.run("info").returncode == 0

    def run(
        self, *words: object, env: Mapping[str, str] | None = None, timeout: float = 800.0
    ) -> subprocess.CompletedProcess[str]:
        """`docker …`."""
        return subprocess.run(
            [DOCKER, *map(str, words)],
            env=self.env | dict(env or {}),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def call(self, *words: object, env: Mapping[str, str] | None = None) -> str:
        """The same; its output. AssertionError with all it said when it failed."""
        done = self.run(*words, env=env)
        assert done.returncode == 0, (
            f"docker {words}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done.stdout.strip()

    def inspect(self, name: str, kind: str = "container") -> dict[str, Any]:
        """What the engine knows of a container."""
        (found,) = json.loads(self.call("inspect", "--type", kind, name))
        return dict(found)

    def image(self, name: str) -> dict[str, Any]:
        """What it knows of an image."""
        return self.inspect(name, "image")

    def import_base(self, *tags: str) -> None:
        """The base image, by these names."""
        self.call("import", MADE / "base.tar", tags[0])
        for tag in tags[1:]:
            self.call("tag", tags[0], tag)

    def build(self, program: str, base: str, tag: str) -> None:
        """The image of `agent` or `server`, from what a checkout has after `make build`."""
        context = self.folder / "context"
        if not context.exists():
            shutil.copytree(ROOT / "installers" / "container", context / "installers" / "container")
            shutil.copytree(ROOT / "requirements", context / "requirements")
            shutil.copytree(ROOT / "dist", context / "dist")
            shutil.copytree(MADE / "wheels", context / "dist" / "wheels")
        file = context / "installers" / "container" / f"{program}.Dockerfile"
        arguments = ["--build-arg", f"BASE={base}"]
        if program == "server":
            arguments += ["--build-arg", "PIP_NO_INDEX=1"]
        self.call("build", "-q", "-f", file, *arguments, "-t", tag, context)

    def log(self, name: str) -> str:
        """What a container has said."""
        done = self.run("logs", name)
        return done.stdout + done.stderr


def _remove_groups(group: str) -> None:
    """Control groups of this run, or of one that was killed: the kernel keeps what is in use."""
    for top in (_GROUPS / group, *_GROUPS.glob(f"*/{group}")):  # of both versions
        for folder, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                continue


def _call(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True)
