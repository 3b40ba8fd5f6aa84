"""A container engine for tests, as its users see it: a command line shaped like docker's.

Its containers are processes of this host. What it was called with, and what it does wrong, are
files beside it. `python -IS fake_engine.py` is what the program made by `install` runs. No call and
no container outlives the process of its test, or `finish`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

NEVER = "0001-01-01T00:00:00Z"
OWNER = "owner"
"""The file with the pid of the test's process, which is there while the test runs."""
ERRORS = {
    "nosuch:1": "Error response from daemon: No such image: nosuch:1",
    "private:1": "Unable to find image 'private:1' locally\n"
    "Error response from daemon: pull access denied for private, repository does not exist or may "
    "require 'docker login': denied: requested access to the resource is denied",
}


def install(folder: Path) -> Path:
    """The program `docker` in this folder, which is made."""
    folder.mkdir()
    path = folder / "docker"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {__file__} "$0" "$@"\n')
    path.chmod(0o755)
    (folder / OWNER).write_text(str(os.getpid()))
    return path


def finish(engine: Path) -> None:
    """Its test is over: have its calls wait for nothing any more, and its containers end."""
    (engine.parent / OWNER).unlink()


def options(engine: Path, image: str = "debian:12", **more: Any) -> dict[str, Any]:
    """Fields of a start order for a container of this engine; `folders` are the job's."""
    name = more.pop("name", "remote-job-1")
    own = {
        "engine": str(engine),
        "environ": {"PATH": os.environ["PATH"]},
        "name": name,
        "pull": "missing",
        "create": ["--label=remote.installation=me", f"--label=remote.attempt={name}"],
        "folders": [],
    }
    return {"workload": "container", "options": own | more}


class Engine:
    """One call of it."""

    def __init__(self, here: Path) -> None:
        self.here = here

    def is_over(self) -> bool:
        """Whether its test has ended, in whatever way."""
        try:
            os.kill(int((self.here / OWNER).read_text()), 0)
        except (FileNotFoundError, ProcessLookupError):
            return True
        return False

    def wait_while(self, name: str) -> None:
        """Wait as long as a test has this file there."""
        while (self.here / name).exists() and not self.is_over():
            time.sleep(0.01)

    def path(self, name: str) -> Path:
        """What is known of a container."""
        return self.here / f"{name}.json"

    def load(self, name: str) -> dict[str, Any]:
        """A container; ends the call when there is none."""
        try:
            return dict(json.loads(self.path(name).read_text()))
        except FileNotFoundError:
            sys.exit(f"Error response from daemon: No such container: {name}")

    def save(self, name: str, found: dict[str, Any]) -> None:
        """Keep it, whole at any moment."""
        new = self.here / f"{name}.{os.getpid()}"
        new.write_text(json.dumps(found))
        new.replace(self.path(name))

    def create(self, words: list[str]) -> None:
        """Make a container."""
        found: dict[str, Any] = {"env": {}, "labels": {}, "pid": 0}
        while words[0].startswith("-"):
            flag, equals, value = words.pop(0).partition("=")
            if not equals and flag in ("--name", "--mount"):
                value = words.pop(0)
            if flag == "--name":
                name = value
            elif flag == "--env":
                found["env"][value] = os.environ[value]
            elif flag == "--env-file":
                lines = Path(value).read_text().split("\n")
                found["env"] |= dict(line.split("=", 1) for line in lines if line)
            elif flag == "--label":
                key, _, text = value.partition("=")
                found["labels"][key] = text
            elif flag == "--workdir":
                found["cwd"] = value
        found["image"], found["command"] = words[0], words[1:]
        self.wait_while("slow-registry")
        if error := ERRORS.get(words[0]):
            sys.exit(error)
        if self.path(name).exists():
            sys.exit(
                f'Error response from daemon: Conflict. The container name "/{name}" is in use'
            )
        found["state"] = {"Status": "created", "Running": False, "StartedAt": NEVER, "Error": ""}
        self.save(name, found)
        print("f00d")

    def start(self, words: list[str]) -> None:
        """Run it as the keeper of its process, which the death of this client does not end."""
        name = words[-1]
        found, said = self.load(name), self.here / f"{name}.code"
        keeper = os.fork()
        if not keeper:
            os.setsid()
            self.keep(name, found, said)
            os._exit(0)
        os.waitpid(keeper, 0)
        if not said.exists():
            sys.exit(f"Error response from daemon: {self.load(name)['state']['Error']}")
        sys.exit(int(said.read_text()))

    def keep(self, name: str, found: dict[str, Any], said: Path) -> None:
        """Be what the engine's daemon is for one container."""
        state = found["state"]
        try:
            env = {**found["env"], "PATH": os.environ["PATH"]}
            job = subprocess.Popen(
                found["command"], cwd=found["cwd"], env=env, start_new_session=True
            )
        except FileNotFoundError:
            program = found["command"][0]
            state["Error"] = (
                f'runc create failed: exec: "{program}": executable file not found in $PATH'
            )
            state["ExitCode"] = 127
            self.save(name, found)
            return
        found["pid"] = job.pid
        state |= {"Status": "running", "Running": True, "StartedAt": "2026-01-01T00:00:00Z"}
        self.save(name, found)
        threading.Thread(target=self.end_with_test, args=(job.pid,), daemon=True).start()
        code = job.wait()
        code = 128 - code if code < 0 else code
        state |= {"Status": "exited", "Running": False, "ExitCode": code}
        state["OOMKilled"] = (self.here / "oom").exists()
        if self.path(name).exists():
            self.save(name, found)
        said.write_text(str(code))

    def end_with_test(self, job: int) -> None:
        """Kill a container that outlives its test."""
        while not self.is_over():
            time.sleep(0.5)
        with suppress(ProcessLookupError):
            os.killpg(job, signal.SIGKILL)

    def kill(self, words: list[str]) -> None:
        """Send a signal to it."""
        wanted = words[0].partition("=")[2]
        found = self.load(words[1])
        self.wait_while(f"slow-{wanted}")
        if not found["state"]["Running"]:
            sys.exit(f"Error response from daemon: Container {words[1]} is not running")
        os.killpg(found["pid"], signal.Signals[wanted])

    def inspect(self, words: list[str]) -> None:
        """Say how it is."""
        if (self.here / "mute").exists():
            sys.exit("Cannot connect to the Docker daemon at unix:///x. Is it running?")
        print(json.dumps(self.load(words[-1])["state"]))

    def rm(self, words: list[str]) -> None:
        """Kill it and forget it."""
        if (self.here / "stuck").exists():
            sys.exit("Error response from daemon: removal is already in progress")
        found = self.load(words[-1])
        if found["pid"]:
            with suppress(ProcessLookupError):
                os.killpg(found["pid"], signal.SIGKILL)
        self.path(words[-1]).unlink()

    def run(self, words: list[str]) -> None:
        """Do on this host what a container that gives files back would do."""
        program = next(word for word in words if word.startswith("--entrypoint="))
        (self.here / "given-back").write_text(json.dumps([program, *words[words.index("-Rh") :]]))
        for name in words[words.index("-Rh") + 2 :]:
            for path in (Path(name), *Path(name).rglob("*")):
                os.chown(path, os.geteuid(), os.getegid(), follow_symlinks=False)

    def ps(self, words: list[str]) -> None:
        """All of them that have a label."""
        key, _, value = words[words.index("--filter") + 1].removeprefix("label=").partition("=")
        for path in sorted(self.here.glob("*.json")):
            labels = json.loads(path.read_text())["labels"]
            if labels.get(key) == value:
                print(path.stem)


def main(program: str, words: list[str]) -> None:
    """One call."""
    engine = Engine(Path(program).resolve().parent)
    with (engine.here / "calls").open("a") as calls:
        calls.write(" ".join(words) + "\n")
    getattr(engine, words[0])(words[1:])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
