"""Secrets on their way: bounded, never in an error, and found nowhere but in their own job."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

import pytest

from remote_agent.processes import memory_file
from remote_agent.shim import layout
from remote_agent.shim.launcher_client import LauncherClient
from remote_agent.shim.secrets import MAX_SECRETS, SecretsError, pack, read_secrets
from tests.support.shim_harness import ENV, Run, ShimHarness, eventually, gone, running, tell

# One for each process of tests: others that run the same test beside this one have another.
SECRET = f"s3cret-{token_hex(16)}"
# It waits without a child: one that starts while the test looks at /proc is not known as the job's.
SHOW = ["sh", "-c", 'echo "len ${#TOKEN}"; read go < "$GO"; exit 3']


def job(harness: ShimHarness, go: Path) -> Path:
    if not go.exists():
        os.mkfifo(go)
    return harness.make(SHOW, env={**ENV, "GO": str(go)}, secrets=["TOKEN"])


def test_what_is_packed_is_read_once_and_the_descriptor_closed() -> None:
    secrets = {"A": "plain", "Ä": "ö\nü", "EMPTY": ""}
    descriptor = memory_file(pack(secrets))
    assert read_secrets(descriptor) == secrets
    with pytest.raises(OSError):
        os.fstat(descriptor)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "x"),
        ("A=B", "x"),
        ("A\0", "x"),
        ("A", f"{SECRET}\0"),
        ("A", SECRET + "x" * MAX_SECRETS),
    ],
    ids=["no name", "equals sign", "NUL in the name", "NUL in the value", "too much"],
)
def test_what_no_environment_holds_is_refused_without_its_value(name: str, value: str) -> None:
    with pytest.raises(SecretsError) as refused:
        pack({name: value})
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b'{"A":1}', b'{"A":"' + SECRET.encode(), b" " * (MAX_SECRETS + 1)],
    ids=["empty", "a list", "a number", "cut off", "too much"],
)
def test_damage_is_said_without_what_was_read(data: bytes) -> None:
    with pytest.raises(SecretsError, match="must be given again") as damaged:
        read_secrets(memory_file(data))
    assert SECRET not in repr(damaged.value)
    assert damaged.value.__cause__ is None and damaged.value.__context__ is None


def readable(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it is no file, or has gone meanwhile
        return b""


def places_of(secret: bytes, root: Path, own: set[int]) -> list[str]:
    """Where it can be found: in files, and in command lines and environments of processes."""
    found = [str(path) for path in root.rglob("*") if path.is_file() and secret in readable(path)]
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            mine = int(process.name) in own
            for name in ("cmdline",) if mine else ("cmdline", "environ"):
                if secret in readable(process / name):
                    found.append(str(process / name))
    return found


def opened(pid: int) -> list[str]:
    """What a process has open."""
    names = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # the look's own descriptor
            names.append(os.readlink(entry))
    return names


def test_a_secret_is_in_its_job_and_nowhere_else(harness: ShimHarness, tmp_path: Path) -> None:
    go = tmp_path / "go"
    directory = job(harness, go)
    harness.shims.request(directory, {"TOKEN": SECRET, "UNASKED": "other"})
    started = harness.started(directory)
    log = directory / "output.log"
    eventually(lambda: log.exists() and b"len" in log.read_bytes())
    assert f"len {len(SECRET)}".encode() in log.read_bytes()
    environ = Path(f"/proc/{started['pid']}/environ").read_bytes()
    assert f"TOKEN={SECRET}".encode() in environ and b"UNASKED" not in environ
    assert places_of(SECRET.encode(), tmp_path, {started["pid"]}) == []
    shim = started["shim_pid"]
    assert not [name for name in opened(shim) if "memfd" in name], "the channel has gone"
    assert not [name for name in opened(os.getpid()) if "memfd" in name]
    go.write_text("go\n")
    run = Run(directory, harness.ended(directory))
    assert run.code == 3
    gone(shim)
    assert places_of(SECRET.encode(), tmp_path, set()) == []
    assert harness.run(["true"]).code == 0, "another shim has taken its place"


def test_other_processes_of_the_user_cannot_look_into_the_shim(
    harness: ShimHarness, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    plain = harness.start(["sleep", "60"])
    directory = job(harness, go)
    harness.shims.request(directory, {"TOKEN": SECRET})
    # What cannot be dumped belongs to root (proc(5)); the mode of `environ` is the owner's.
    closed, open_ = (harness.started(path)["shim_pid"] for path in (directory, plain))
    status = [Path(f"/proc/{pid}/environ").stat().st_uid for pid in (closed, open_)]
    assert status == [0, os.geteuid()]
    with pytest.raises(PermissionError):
        traced(closed)
    go.write_text("go\n")
    assert harness.ended(directory)["exit_code"] == 3
    tell(plain, {"do": "kill"})
    harness.ended(plain)


def traced(pid: int) -> None:
    """Read another process's memory as an unprivileged process of the same user would."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgid(65534)
            os.setuid(65534)
            Path(f"/proc/{pid}/environ").read_bytes()
            os.write(writer, b"readable")
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as answers:
        if not answers.read():
            raise PermissionError(errno.EACCES, "not readable")


def test_an_attempt_is_not_begun_without_its_secrets(harness: ShimHarness, tmp_path: Path) -> None:
    """A restarted agent gives them again: the attempt has waited for that."""
    go = tmp_path / "go"
    go.write_text("go\n")
    directory = job(harness, go)
    harness.shims.request(directory)
    eventually(lambda: "needs secrets that did not come" in harness.log())
    assert "['TOKEN']" in harness.log() and not (directory / layout.STARTED).exists()
    restarted = LauncherClient(tmp_path / "restarted.log")
    restarted.start(1)
    try:
        restarted.request(directory, {"OTHER": "x"})
        eventually(lambda: "['TOKEN']" in (tmp_path / "restarted.log").read_text())
        restarted.request(directory, {"TOKEN": SECRET})
        assert harness.ended(directory)["exit_code"] == 3
    finally:
        restarted.close()


def test_a_secret_that_waits_for_a_shim_outlives_its_agent(
    harness: ShimHarness, tmp_path: Path
) -> None:
    """It waits in the kernel with the request, which the shims still take."""
    go = tmp_path / "go"
    go.write_text("go\n")
    busy = [harness.start(["sleep", "60"]) for _ in range(3)]
    for path in busy:
        harness.started(path)
    directory = job(harness, go)
    harness.shims.request(directory, {"TOKEN": SECRET})
    harness.shims.close()
    for path in busy:
        tell(path, {"do": "kill"})
    assert harness.ended(directory)["exit_code"] == 3
    assert places_of(SECRET.encode(), tmp_path, set()) == []


def test_a_shim_without_a_launcher_gets_them_on_its_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise OSError(errno.EPROTONOSUPPORT, "no SEQPACKET here")

    harness, go = ShimHarness(tmp_path / "state"), tmp_path / "go"
    monkeypatch.setattr(socket, "socketpair", missing)
    harness.shims.start(3)
    monkeypatch.undo()
    try:
        directory = job(harness, go)
        harness.shims.request(directory, {"TOKEN": SECRET})
        started = harness.started(directory)
        assert not [name for name in opened(started["shim_pid"]) if "memfd" in name]
        assert places_of(SECRET.encode(), tmp_path, {started["pid"]}) == []
        go.write_text("go\n")
        assert harness.ended(directory)["exit_code"] == 3
        eventually(lambda: harness.shims.alive() and not running(started["shim_pid"]))
    finally:
        harness.close()
