"""The MSI and the service, as an administrator of a Windows host meets them: from nothing to jobs,
through kills and an upgrade, to nothing. The tests build on each other, in their order."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from installers.windows.build import pack
from remote_protocol.states import EndReason, JobState
from tests.docs.blocks import blocks
from tests.support.stack import until
from tests.windows.host import SLOW, WAITS, WineStack, make_folder, run, terminate
from tests.windows.wine import FOLDER, PYTHON, ROOT, drive_c, windows, wine

OLD, NEW = "0.1.0", "0.2.0"
BUILT = FOLDER / "frozen" / "remote-agent"
"""What `make test-windows` has made of this checkout."""
DATA = ("ProgramData", "remote-agent")
PAGE = ROOT / "docs" / "install-windows.md"


class Host:
    """A Windows host with the MSIs of two versions, and a server that it can reach."""

    def __init__(self, stack: WineStack, folder: Path) -> None:
        self.stack = stack
        self.msi = {number: pack(BUILT, number, folder, folder) for number in (OLD, NEW)}
        self.token = folder / "token"
        self.token.write_text(stack.registration_token())

    def call(self, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A program there; what it prints."""
        return run(wine(*words), 3 * SLOW, check)

    def msiexec(self, verb: str, number: str, **properties: str) -> int:
        """Install or remove silently; the exit code."""
        given = [f"{name}={value}" for name, value in properties.items()]
        log = windows(self.token.with_name("msi.log"))
        words = ("msiexec", verb, windows(self.msi[number]), "/qn", "/l*v", log, *given)
        return self.call(*words, check=False).returncode

    def program(self, number: str) -> str:
        """The program of this version, as Windows names it."""
        return rf"C:\Program Files\remote-agent\{number}\remote-agent.exe"

    def agent(
        self, *words: object, number: str = OLD, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """`remote-agent` of this version."""
        return self.call(self.program(number), *words, check=check)

    def service(self) -> dict[str, object]:
        """What `service status` says."""
        done = self.agent("service", "status", "--output", "json", number=self.number, check=False)
        found: dict[str, object] = json.loads(done.stdout)
        return found

    number = OLD

    def online(self) -> bool:
        """Whether the server sees the agent."""
        return [str(agent.state) for agent in self.stack.client.agents().items] == ["online"]


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    assert (BUILT / "remote-agent.exe").exists(), "make test-windows builds the program first"
    folder = make_folder("service")
    # Wine's service control manager ends with the last program that is not a service.
    resident = subprocess.Popen(wine(PYTHON, "-c", "import time; time.sleep(3600)"))
    try:
        with WineStack(folder) as stack:
            stack.start_server()
            yield Host(stack, folder)
    finally:
        resident.kill()
        resident.wait()


pytestmark = pytest.mark.timeout(600)


def there(*parts: str) -> bool:
    return drive_c(*parts).exists()


def test_the_msi_acts_within_its_transaction_and_removes_the_service_before_files(
    host: Host,
) -> None:
    listed = ["msiinfo", "export", str(host.msi[OLD]), "InstallExecuteSequence"]
    text = subprocess.run(listed, capture_output=True, text=True, check=True).stdout
    # name, condition, number; three lines are about the columns
    rows = [line.split("\t") for line in text.splitlines()[3:]]
    at = {name: int(number) for name, _, number in rows}
    begin, files, remove, end = (
        at[name] for name in ("InstallInitialize", "InstallFiles", "RemoveFiles", "InstallFinalize")
    )
    assert begin < at["UninstallService"] < remove and begin < at["KillService"] < remove
    assert files < at["InstallService"] < end


def test_one_silent_command_installs_registers_and_starts(host: Host) -> None:
    code = host.msiexec("/i", OLD, SERVER=host.stack.url, TOKENFILE=windows(host.token))
    assert code == 0 and there("Program Files", "remote-agent", OLD, "remote-agent.exe")
    until(host.online, "the agent is online", 3 * SLOW)
    state = host.service()
    assert (state["active"], state["enabled"], state["installed"]) == ("active", True, True)
    assert state["user"] == r"NT SERVICE\remote-agent" and state["program"] == host.program(OLD)
    # The token is a file that is closed to others, and no argument.
    assert drive_c(*DATA, "token").read_text().startswith("rrt_")
    assert "rrt_" not in host.token.with_name("msi.log").read_bytes().replace(b"\0", b"").decode(
        errors="replace"
    )


def test_install_again_changes_nothing(host: Host) -> None:
    before = host.service()
    done = host.agent("service", "install")
    assert "installed already" in done.stdout and "online" in done.stdout
    assert host.service() == before


def test_a_job_has_bytes_a_console_and_a_clean_environment(host: Host) -> None:
    code = (
        "import os, sys, ctypes; sys.stdout.buffer.write(bytes(range(256)));"
        "print(ctypes.windll.kernel32.GetConsoleCP() != 0, file=sys.stderr);"
        "print(sorted(n for n in os.environ if n.startswith(('REMOTE_AGENT_', '_PYI', 'CRED'))),"
        "file=sys.stderr)"
    )
    job = host.stack.client.wait(host.stack.python(code).id, SLOW)
    assert job.exit_code == 0, job
    records = list(host.stack.client.follow_log(job.id))
    assert b"".join(r.data for r in records if r.stream == "stdout") == bytes(range(256))
    said = b"".join(r.data for r in records if r.stream == "stderr")
    assert said == b"True\r\n[]\r\n", said


def test_a_job_outlives_a_killed_service(host: Host) -> None:
    go = host.stack.root / "go-kill"
    job = host.stack.python(WAITS, windows(go))
    host.stack.prints(job.id, b"line 3", SLOW)
    pid = host.service()["pid"]
    terminate(int(str(pid)))
    until(lambda: host.service()["pid"] != pid, "it is gone", SLOW)
    # Windows starts it again by itself; Wine knows no recovery.
    assert "online" in host.agent("service", "start").stdout
    finish(host, go, job.id)


def test_a_job_outlives_a_restart_and_an_upgrade(host: Host) -> None:
    go = host.stack.root / "go-upgrade"
    job = host.stack.python(WAITS, windows(go))
    host.stack.prints(job.id, b"line 3", SLOW)
    pid = host.service()["pid"]
    host.agent("service", "restart")
    assert host.service()["pid"] != pid
    assert host.msiexec("/i", NEW) == 0
    host.number = NEW
    done = host.agent("service", "install", number=NEW)
    assert "online" in done.stdout
    state = host.service()
    assert state["program"] == host.program(NEW) and state["active"] == "active"
    finish(host, go, job.id)


def finish(host: Host, go: Path, job_id: str) -> None:
    """Let a job of WAITS end; its log is whole, and it ran once."""
    go.touch()
    ended = host.stack.client.wait(job_id, SLOW)
    assert ended.exit_code == 0 and len(ended.attempts) == 1, ended
    lines = host.stack.client.log(job_id).decode().split("\r\n")
    count = int(lines[-2].split()[1])
    assert lines == [*(f"line {n}" for n in range(count + 1)), f"last {count}", ""]


def test_stop_leaves_jobs_and_stop_now_kills_them(host: Host) -> None:
    job = host.stack.python(WAITS, windows(host.stack.root / "never"), max_attempts=1)
    host.stack.prints(job.id, b"line 3", SLOW)
    assert "jobs run on" in host.agent("service", "stop", number=NEW).stdout
    assert host.service()["active"] == "inactive"
    size = spool_size(job.id)
    until(lambda: spool_size(job.id) > size, "the job goes on", SLOW)
    host.agent("service", "start", number=NEW)
    assert "were killed" in host.agent("service", "stop", "--now", number=NEW).stdout
    host.agent("service", "start", number=NEW)
    ended = host.stack.client.wait(job.id, SLOW)
    assert (ended.state, ended.end_reason) == (JobState.FAILED, EndReason.LOST), ended


def spool_size(job_id: str) -> int:
    folder = drive_c(*DATA, "state", "attempts", f"{job_id}.1")
    return sum(path.stat().st_size for path in folder.rglob("*.log"))


def test_what_keeps_it_from_being_online_is_named(host: Host) -> None:
    host.stack.server.kill()
    try:
        done = host.agent("service", "restart", "--deadline", "5s", number=NEW, check=False)
        assert done.returncode == 1 and "not online after 5 s" in done.stderr, done.stderr
        assert str(host.stack.port) in done.stderr
    finally:
        host.stack.start_server()
    until(host.online, "it is back", SLOW)


def test_removal_refuses_while_jobs_run_and_then_leaves_nothing(host: Host) -> None:
    job = host.stack.python(WAITS, windows(host.stack.root / "never"))
    host.stack.prints(job.id, b"line 3", SLOW)
    done = host.agent("service", "uninstall", number=NEW, check=False)
    assert done.returncode == 1 and "1 jobs run here" in done.stderr
    assert host.msiexec("/x", NEW) != 0
    assert there("Program Files", "remote-agent", NEW, "remote-agent.exe")
    assert host.service()["active"] == "active" and host.msiexec("/x", NEW, FORCE="1") == 0
    assert host.call("sc", "query", "remote-agent", check=False).returncode != 0
    until(lambda: not there(*DATA), "its data is gone", SLOW)
    assert not there("Program Files", "remote-agent", NEW, "remote-agent.exe")
    assert host.stack.client.agents().items == []


def test_what_the_page_says_works(host: Host) -> None:
    """What Wine can run of docs/install-windows.md, as it stands: it has no PowerShell, and these
    lines mean the same in a batch file."""
    found = [b for b in blocks(PAGE.read_text("utf-8")) if b.language == "powershell"]
    install, every_day = [block.text for block in found if not block.not_run]
    drive_c("token").write_text(host.stack.registration_token())
    folder = host.token.parent
    typed(host, windows(folder), install.replace("https://jobs.example.com", host.stack.url))
    until(host.online, "the agent is online", 3 * SLOW)
    said = typed(host, host.program(OLD).rpartition("\\")[0], every_day)
    assert "service    active" in said and "online" in said, said
    assert host.msiexec("/x", OLD, FORCE="1") == 0
    until(lambda: not there(*DATA), "its data is gone", SLOW)
    drive_c("token").unlink()


def typed(host: Host, folder: str, text: str) -> str:
    """Type these lines in a folder of Windows; what they print. Each has to succeed."""
    lines = [f'@cd /d "{folder}"', *text.splitlines()]
    batch = host.token.with_name("page.bat")
    batch.write_bytes(
        "".join(f"{line}\r\n@if errorlevel 1 exit /b 1\r\n" for line in lines).encode()
    )
    return host.call("cmd", "/c", windows(batch)).stdout


def test_by_hand_the_services_process_says_what_it_is(host: Host) -> None:
    done = host.call(BUILT / "remote-agent.exe", "_service", check=False)
    assert done.returncode == 1 and "not started as a service" in done.stderr
