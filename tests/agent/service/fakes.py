"""Service managers in memory, and a `systemctl` that remembers what it was told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from remote_agent.processes import ServiceRecord, ServiceSettings
from remote_agent.service import account
from remote_agent.service.calling import Done
from remote_agent.service.port import ServiceState
from remote_agent.service.units import Choice


class FakePort:
    """What the agent's service is, as far as anybody can see; `calls` are the verbs."""

    def __init__(self, state_dir: Path, state: ServiceState | None = None) -> None:
        self.state_dir = state_dir
        self.config_dir = state_dir.with_name("etc")
        self.account = "remote-agent"
        self.profiles: tuple[str, ...] = ("strict", "users", "open")
        self.program_dir = state_dir.with_name("program")
        self.known = state or ServiceState(installed=False)
        self.choice: Choice | None = None
        self.words: list[str] = []
        self.calls: list[str] = []

    def check(self) -> None:
        self.calls.append("check")

    def make_account(self) -> None:
        account.make(self.account)

    def state(self) -> ServiceState:
        return self.known

    def prepare(self, program: str, user: str, profile: str) -> list[str]:
        return account.prepare(self, program, user, profile)

    def install(self, choice: Choice) -> list[str]:
        changed = self.choice != choice
        self.choice = choice
        self.known = replace(self.known, installed=True, user=choice.user, profile=choice.profile)
        return ["unit"] if changed else []

    def start(self) -> None:
        self.calls.append("start")
        self.known = replace(self.known, active="active")

    def restart(self) -> None:
        self.calls.append("restart")

    def stop(self, jobs_too: bool) -> None:
        self.calls.append("stop jobs" if jobs_too else "stop")

    def remove(self) -> list[str]:
        self.calls.append("remove")
        was, self.known = self.known.installed, ServiceState(installed=False)
        return ["unit"] if was else []

    def complaints(self) -> list[str]:
        return self.words


class Systemctl:
    """Answers `systemctl` and `journalctl`; `calls` are the words after the program."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.failing: set[str] = set()
        self.calls: list[str] = []

    def __call__(self, command: Sequence[str], timeout: float) -> Done:
        words = " ".join(command[1:])
        self.calls.append(words)
        verb = command[0] if command[0] == "journalctl" else command[1]
        code = 1 if verb in self.failing else 0
        why = f"{verb} was refused" if code else ""
        return Done(list(command), code, self.answers.get(verb, ""), why)


class FakeControl:
    """Windows' service control manager with one service; `calls` are the verbs."""

    def __init__(self) -> None:
        self.record: ServiceRecord | None = None
        self.settings: ServiceSettings | None = None
        self.calls: list[str] = []
        self.protected: dict[Path, tuple[str, bool]] = {}
        self.administrator = True
        self.error: OSError | None = None

    def allowed(self) -> bool:
        return self.administrator

    def query(self, name: str) -> ServiceRecord | None:
        return self.record

    def install(self, name: str, settings: ServiceSettings) -> None:
        self._call("install")
        self.settings = settings
        state, pid, code = self.record[:3] if self.record else ("stopped", 0, 0)
        self.record = ServiceRecord(state, pid, code, settings.command, settings.account, True)

    def start(self, name: str) -> None:
        self._call("start")
        assert self.record
        self.record = self.record._replace(state="running", pid=7)

    def stop(self, name: str, timeout: float) -> None:
        self._call("stop")
        assert self.record
        self.record = self.record._replace(state="stopped", pid=0)

    def delete(self, name: str) -> bool:
        self._call("delete")
        was, self.record = self.record, None
        return was is not None

    def protect(self, folder: Path, account: str, write: bool) -> None:
        self.protected[folder] = (account, write)

    def _call(self, verb: str) -> None:
        self.calls.append(verb)
        if self.error is not None:
            raise self.error
