"""A host as its admin sees it: `remote-agent`, `remotectl`, jobs whose output is known."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from typing import Any

from tests.systemd.machine import DEADLINE, Machine, said, until

URL = "http://127.0.0.1:8750"
STATE = "/var/lib/remote-agent"
UNIT = "remote-agent.service"
JOBS = "remote-agent-jobs.service"
FINISH = "/etc/finish"
"""Jobs of `Host.writing` write until it is there."""
_WRITER = (
    'i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo "line $i of a job, with some words"; '
    "[ $((i % 50)) = 0 ] && sleep {pause}; done; true"
)


def expected(lines: int) -> str:
    """The checksum of what `writer` writes."""
    text = "".join(f"line {i} of a job, with some words\n" for i in range(1, lines + 1))
    return hashlib.sha256(text.encode()).hexdigest()


def writer(lines: int, pause: float = 0.05) -> str:
    """A shell script that writes lines, fifty at a time."""
    return _WRITER.format(lines=lines, pause=pause)


class Host:
    """The programs of version 1 unless another one is named."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._env = {"REMOTE_URL": URL}
        self.prompt = {"PATH": "/opt/remote/1/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        """The environment of an admin's shell that finds the programs."""

    def start_server(self) -> None:
        """Start a server as a service, and wait until it answers."""
        unit = ["systemd-run", "-q", "--unit=test-server", "--setenv=HOME=/root"]
        program = "/opt/remote/1/bin/remote-server"
        self.machine.call(*unit, program, "run", "--data-dir", "/var/lib/test-server")

        def token() -> str:
            return self.machine.run("cat", "/var/lib/test-server/admin-token").stdout.strip()

        self._env["REMOTE_TOKEN"] = until(token, "the server makes its admin token")
        until(lambda: self.remotectl("queue", "list").returncode == 0, "a server")

    def listens(self, port: int) -> None:
        """Wait until somebody does at this port of the host's loopback."""
        ask = f"exec 3<>/dev/tcp/127.0.0.1/{port}"
        until(lambda: self.machine.run("bash", "-c", ask).returncode == 0, f"port {port} is open")

    def agent(self, *words: object, version: int = 1) -> subprocess.CompletedProcess[str]:
        """`remote-agent …` as root."""
        return self.machine.run(f"/opt/remote/{version}/bin/remote-agent", *words)

    def service(self, *words: object, version: int = 1) -> str:
        """`remote-agent service …`, which must succeed; what it printed."""
        if words[0] in ("install", "start", "restart"):
            words = (*words, "--deadline", f"{DEADLINE:g}s")
        done = self.agent("service", *words, version=version)
        assert done.returncode == 0, f"service {words} ended with {done.returncode}:\n{said(done)}"
        return done.stdout

    def ctl(self, *words: object) -> str:
        """`remotectl …`, which must succeed; what it printed."""
        return self._printed(*words).strip()

    def remotectl(self, *words: object) -> subprocess.CompletedProcess[str]:
        """`remotectl …` with the server's admin token."""
        return self.machine.run("/opt/remote/1/bin/remotectl", *words, env=self._env)

    def _printed(self, *words: object) -> str:
        done = self.remotectl(*words)
        assert done.returncode == 0, f"{words} ended with {done.returncode}:\n{said(done)}"
        return done.stdout

    def token_file(self, path: str = "/root/token") -> str:
        """A registration token in a file of mode 0600; its path."""
        self.machine.call("rm", "-f", path)
        self.ctl("registration-token", "create", "--allow-replace", "--output-file", path)
        return path

    # Jobs ----------------------------------------------------------------------------------

    def submit(self, script: str, *flags: str) -> str:
        """Submit a job; its id."""
        return self.ctl("run", "--detach", *flags, "--", "sh", "-c", script)

    def job(self, job: str) -> dict[str, Any]:
        """What the server knows of it."""
        found: dict[str, Any] = json.loads(self.ctl("job", "show", job, "--output", "json"))
        return found

    def running(self, job: str, size: int = 1) -> str:
        """Wait until it runs and has written so much; its id."""
        until(
            lambda: self.job(job)["state"] == "running" and len(self.log(job)) >= size,
            f"job {job} runs",
        )
        return job

    def log(self, job: str) -> str:
        """What it has written to stdout."""
        return self._printed("job", "logs", job, "--stream", "stdout")

    def ended(self, job: str) -> dict[str, Any]:
        """Wait for its end; what the server knows of it then."""
        self.remotectl("job", "wait", job)
        return self.job(job)

    def is_whole(self, job: str, lines: int) -> None:
        """It has succeeded, in one attempt, and its log is what it wrote, byte for byte."""
        found = self.ended(job)
        assert (found["state"], found["attempt"]) == ("succeeded", 1), found
        text = self.log(job)
        assert hashlib.sha256(text.encode()).hexdigest() == expected(lines), text[-200:]

    def writing(self) -> str:
        """A job that writes until `let_finish`, and says then how much; its id, when it runs."""
        self.machine.call("rm", "-f", FINISH)
        script = (
            f"i=0; while [ ! -e {FINISH} ]; do i=$((i+1)); echo line $i of a job, with some words; "
            "[ $((i % 50)) = 0 ] && sleep 0.2; done; echo end of $i"
        )
        return self.running(self.submit(script), 200)

    def let_finish(self) -> None:
        """End the jobs of `writing`."""
        self.machine.call("touch", FINISH)

    def has_finished(self, job: str) -> None:
        """One of `writing` has succeeded, in one attempt, and its log is what it wrote, byte for
        byte."""
        found = self.ended(job)
        assert (found["state"], found["attempt"]) == ("succeeded", 1), found
        text = self.log(job)
        end = re.search("^end of ([0-9]+)$", text, re.MULTILINE)
        assert end, text[-200:]
        lines = (f"line {i} of a job, with some words\n" for i in range(1, int(end[1]) + 1))
        assert text == "".join(lines) + end[0] + "\n"

    # The service -----------------------------------------------------------------------------

    def pid(self) -> int:
        """The agent's process, inside; it is waited for while systemd starts it again."""
        return until(lambda: int(self.machine.show(UNIT, "MainPID")), "the agent has a process")

    def status(self) -> dict[str, Any]:
        """What the running agent says; empty when none answers."""
        done = self.agent("status", "--output", "json")
        found: dict[str, Any] = json.loads(done.stdout or "{}")
        return found

    def online(self, other_than: int = 0) -> int:
        """Wait until an agent is online whose process is another one; its process."""

        def pid() -> int:
            known = self.status()
            new = known.get("running") and known.get("link") == "online"
            return int(known["pid"]) if new and known["pid"] != other_than else 0

        return until(pid, "the agent is online")
