"""One attempt with real processes: how jobs end, what is written, what is left of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from remote_agent.processes import start_time
from remote_agent.processes.cgroup import own_group
from remote_agent.shim import layout
from remote_protocol import cri
from tests.support.shim_harness import (
    ENV,
    Gate,
    Run,
    ShimHarness,
    eventually,
    in_pipe,
    read_log,
    running,
    state,
    tell,
)

PYTHON = [sys.executable, "-I", "-S", "-c"]


def sh(text: str) -> list[str]:
    return ["sh", "-c", text]


@pytest.mark.parametrize("code", [0, 1, 77, 255])
def test_exit_codes(harness: ShimHarness, code: int) -> None:
    run = harness.run(sh(f"exit {code}"))
    assert (run.code, run.reason, run.detail) == (code, "exit", f"exited with code {code}")
    assert run.record["size"] == 0 and run.record["checksum"] == 0
    assert run.steps == ["spawned"]
    assert 0 < run.record["started_at"] <= run.record["ended_at"]
    assert run.record["usage"]["duration"] > 0


def test_signals(harness: ShimHarness) -> None:
    run = harness.run(sh("kill -SEGV $$"))
    assert (run.code, run.reason) == (128 + signal.SIGSEGV, "signal")
    assert run.detail.startswith("killed by SIGSEGV")


def test_a_job_that_never_began_is_told_from_one_that_failed(
    harness: ShimHarness, tmp_path: Path
) -> None:
    options = {"never_begun": str(tmp_path / "why")}
    run = harness.run(sh(f"echo 'no such package' > {tmp_path}/why; exit 125"), options=options)
    assert (run.code, run.reason, run.detail) == (125, "spawn_error", "no such package ")
    run = harness.run(sh("exit 0"), options=options)
    assert (run.code, run.reason) == (0, "exit")
    (tmp_path / "why").unlink()
    run = harness.run(sh("exit 125"), options=options)
    assert (run.code, run.reason) == (125, "exit")


def test_unknown_program(harness: ShimHarness) -> None:
    run = harness.run(["no-such-program"], env={"PATH": "/nowhere:/else"})
    assert (run.code, run.reason) == (127, "spawn_error")
    assert (
        run.detail == "program 'no-such-program' not found; it is in no directory of the job's PATH"
    )
    assert run.record["started_at"] is None
    assert harness.run(["/no/such/file"]).detail == "program '/no/such/file' not found on this host"


def test_program_that_is_not_executable(harness: ShimHarness, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program\n")
    run = harness.run([str(plain)])
    assert (run.code, run.reason) == (126, "spawn_error")
    assert "is not executable" in run.detail and "x permission" in run.detail
    plain.chmod(0o700)
    assert "a script with a #! line" in harness.run([str(plain)]).detail
    plain.write_text("#!/no/such/interpreter\n")
    run = harness.run([str(plain)])
    assert run.code == 127 and "interpreter" in run.detail


def test_working_directory(harness: ShimHarness, tmp_path: Path) -> None:
    run = harness.run(["pwd"], cwd=str(tmp_path))
    assert run.stdout == f"{tmp_path}\n".encode()
    run = harness.run(["pwd"], cwd=str(tmp_path / "absent"))
    assert (run.code, run.reason) == (126, "spawn_error")
    assert run.detail.startswith(f"the working directory '{tmp_path}/absent' cannot be entered")


def test_the_environment_is_the_orders_and_nothing_else(harness: ShimHarness) -> None:
    env = {"PATH": ENV["PATH"], "REMOTE_JOB_ID": "J", "Ä": "ö=\nü"}
    run = harness.run(["env", "-0"], env=env)
    assert dict(e.split("=", 1) for e in run.stdout.decode().split("\0")[:-1]) == env


# SIGPIPE and SIGXFSZ, which Python ignores for itself, and the two signals that glibc keeps for
# its threads: its posix_spawn (make uses it) leaves them ignored, and no program can change that.
NOT_OURS = 1 << 12 | 1 << 24 | 1 << 31 | 1 << 32


def test_the_process_starts_clean(harness: ShimHarness) -> None:
    program = (
        "import os, signal\n"
        "fds = os.listdir('/proc/self/fd')\n"
        "print(sorted(fds, key=int)[:3], len(fds))\n"
        "print(os.getsid(0) == os.getpid() == os.getpgid(0), os.readlink('/proc/self/fd/0'))\n"
        "status = dict(l.split(':', 1) for l in open('/proc/self/status'))\n"
        "print(status['SigBlk'].strip(), int(status['SigIgn'], 16))\n"
        "print(open('/proc/self/oom_score_adj').read().strip(), oct(os.umask(0)))\n"
    )
    run = harness.run([*PYTHON, program])
    descriptors, session, signals, rest = run.stdout.decode().splitlines()
    # The fourth descriptor is the one that lists them.
    assert (descriptors, session, rest) == ("['0', '1', '2'] 4", "True /dev/null", "500 0o22")
    blocked, ignored = signals.split()
    assert int(blocked, 16) == 0
    assert int(ignored) & ~NOT_OURS == 0


def test_binary_output_without_newline_is_kept_byte_for_byte(
    harness: ShimHarness, tmp_path: Path
) -> None:
    data = os.urandom(300_000) + b"\r\n\0end"
    source = tmp_path / "data"
    source.write_bytes(data)
    run = harness.run(["cat", str(source)])
    assert run.stdout == data and run.stderr == b""
    assert run.record["size"] == len(run.log) and run.record["checksum"] == crc32(run.log)
    assert run.record["usage"]["stdout_bytes"] == len(data)
    assert run.steps == ["spawned", "first_output"]


def test_both_streams_are_told_apart_and_in_order(harness: ShimHarness) -> None:
    # The job waits until its last line is in the spool: reads of two pipes have no other order.
    program = (
        "import os, sys, time\n"
        "def lines(): return open(p, 'rb').read().count(b'\\n') if os.path.exists(p) else 0\n"
        "def wait(n):\n"
        "    while lines() < n: time.sleep(.001)\n"
        "p = sys.argv[1]\n"
        "for i in range(10):\n"
        "    os.write(1 + i % 2, b'line %d\\n' % i); wait(i + 1)\n"
    )
    directory = harness.make([*PYTHON, program, "LOG"])
    order = (directory / "attempt.jsonl").read_text()
    (directory / "attempt.jsonl").write_text(order.replace("LOG", str(directory / "output.log")))
    harness.shims.request(directory)
    run = Run(directory, harness.ended(directory))
    assert run.code == 0
    shown = [(record.stream, record.data) for record in cri.records(run.log)]
    assert shown == [(("stdout", "stderr")[i % 2], b"line %d\n" % i) for i in range(10)]
    stamps = [record.time for record in cri.records(run.log)]
    assert stamps == sorted(stamps)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", s) for s in stamps)


def notifications(harness: ShimHarness) -> list[dict[str, Any]]:
    """What one attempt notifies its agent of; with its end `copy`, of its record."""
    said: list[dict[str, Any]] = []
    while not said or said[-1]["e"] != "ended":
        first, _, copy = harness.notifications.recv(1 << 13).partition(b"\n")
        said.append(json.loads(first))
        if copy:
            said[-1]["copy"] = json.loads(copy)
    return said


def test_notifications_tell_of_start_growth_and_end(harness: ShimHarness, gate: Gate) -> None:
    directory = harness.start(sh(f"{gate.wait}; echo hello; {gate.wait}"))
    said = [json.loads(harness.notifications.recv(4096))]
    gate.open()
    said.append(json.loads(harness.notifications.recv(4096)))
    gate.open()
    said += notifications(harness)
    assert [message["e"] for message in said] == ["started", "grew", "ended"]
    assert {message["k"] for message in said} == {directory.name}
    record = harness.ended(directory)
    assert said[1]["size"] == record["size"] and said[2]["copy"] == record
    assert said[0]["pid"] == harness.started(directory)["pid"]
    assert ["pid" in message for message in said] == [True, False, False]


def test_the_first_notification_has_the_start(harness: ShimHarness) -> None:
    directory = harness.start(sh("echo $$"))
    first, *others = notifications(harness)
    record = harness.ended(directory)
    assert first["pid"] == int(Run(directory, record).stdout)
    assert first["at"] == pytest.approx(record["started_at"], abs=1e-5)
    assert not any("pid" in message for message in others)
    assert [first, *others][-1]["copy"] == record and record["size"] > 0


def test_a_start_is_recorded_before_it_is_told_alone(harness: ShimHarness, gate: Gate) -> None:
    directory = harness.start(sh(gate.wait))
    said = json.loads(harness.notifications.recv(4096))
    record = json.loads((directory / layout.STARTED).read_bytes())
    assert (said["e"], said["pid"], said["at"]) == ("started", record["pid"], record["at"])
    assert record["start_time"] == start_time(record["pid"])
    gate.open()
    harness.ended(directory)
    assert json.loads((directory / layout.STARTED).read_bytes()) == record


def test_a_start_that_is_told_with_the_end_is_only_marked(harness: ShimHarness) -> None:
    for _ in range(20):
        directory = harness.start(["true"])
        said = notifications(harness)
        told_alone = len(said) > 1
        assert ((directory / layout.STARTED).stat().st_size > 0) == told_alone


def peak_of(pid: int) -> int:
    """Peak memory of a process in KiB (VmHWM, proc(5))."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1])


def test_a_flood_keeps_memory_bounded_and_every_byte(harness: ShimHarness) -> None:
    size = 200_000_000
    line = "x" * 79
    directory = harness.start(
        sh(f"yes {line} | head -c {size}"), segment_size=10_000_000, segments=100
    )
    shim = harness.started(directory)["shim_pid"]
    record = harness.ended(directory, limit=100)
    peak = peak_of(shim)
    assert peak < 32 * 1024, f"{peak} KiB"
    assert record["usage"]["stdout_bytes"] == size
    checksum, total, decoded = 0, 0, 0
    for path in [*sorted(directory.glob("output.0*")), directory / "output.log"]:
        data = path.read_bytes()
        checksum, total = crc32(data, checksum), total + len(data)
        decoded += len(cri.decode(data))
    assert (total, checksum, decoded) == (record["size"], record["checksum"], size)


def test_lines_of_one_byte_keep_memory_bounded(harness: ShimHarness) -> None:
    directory = harness.start(sh("head -c 1000000 /dev/zero | tr '\\0' '\\n'"))
    shim = harness.started(directory)["shim_pid"]
    record = harness.ended(directory)
    peak = peak_of(shim)
    assert peak < 40 * 1024, f"{peak} KiB"
    assert cri.decode(read_log(directory)) == b"\n" * 1_000_000
    assert record["exit_code"] == 0


def test_output_waits_for_the_agent_and_goes_on(harness: ShimHarness) -> None:
    directory = harness.start(sh("head -c 9000000 /dev/zero"), segment_size=500_000, segments=3)
    closed = lambda: sorted(directory.glob("output.0*"))  # noqa: E731
    eventually(lambda: len(closed()) == 3)
    started = harness.started(directory)
    # A shim that sleeps has looked at what it has written, and lets the rest wait.
    eventually(lambda: state(started["shim_pid"]) == "S")
    live = directory / "output.log"
    size = live.stat().st_size
    eventually(lambda: state(started["pid"]) == "S", what="for the job to find its pipe full")
    assert live.stat().st_size == size and len(closed()) == 3
    total = 0
    while not (directory / "exit.json").exists():
        for path in closed()[:-1]:
            total += path.stat().st_size
            path.unlink()
        time.sleep(0.02)
    record = harness.ended(directory)
    total += sum(path.stat().st_size for path in [*closed(), live])
    assert record["usage"]["stdout_bytes"] == 9_000_000 and total == record["size"]
    assert "output_waits" in [step["what"] for step in record["steps"]]


def test_hold_and_go(harness: ShimHarness) -> None:
    directory = harness.start(sh("while :; do echo tick; sleep 0.01; done"))
    log = directory / "output.log"
    eventually(log.exists)
    started = harness.started(directory)
    job, shim = started["pid"], started["shim_pid"]
    assert tell(directory, {"do": "hold"})
    # It sleeps though there is something to read.
    eventually(lambda: in_pipe(job) > 20 and state(shim) == "S" and in_pipe(job) > 20)
    size, unread = log.stat().st_size, in_pipe(job)
    eventually(lambda: in_pipe(job) > unread + 20)
    assert log.stat().st_size == size
    assert tell(directory, {"do": "go"})
    eventually(lambda: log.stat().st_size > size)
    assert tell(directory, {"do": "kill"})
    assert harness.ended(directory)["end_reason"] == "cancelled"


def test_the_log_cap_keeps_head_and_tail_and_the_job_goes_on(harness: ShimHarness) -> None:
    run = harness.run(sh("seq 100000; exit 3"), max_log=10_000)
    assert run.code == 3
    text = cri.decode(run.log).decode()
    assert text.startswith("1\n2\n3\n") and text.endswith("99999\n100000\n")
    omitted = re.search(r"remote-agent: (\d+) bytes omitted here \(limit 9\.8 KiB\)\n", text)
    produced = run.record["usage"]["stdout_bytes"]
    assert produced == len("".join(f"{n}\n" for n in range(1, 100001)))
    assert omitted and int(omitted[1]) == produced - 10_000


# Ends from outside --------------------------------------------------------------------------


def test_cancel_is_polite_first(harness: ShimHarness) -> None:
    directory = harness.start(
        sh("trap 'echo bye; exit 9' TERM; echo up; while :; do sleep 0.02; done")
    )
    eventually((directory / "output.log").exists)
    assert tell(directory, {"do": "stop", "reason": "cancelled", "detail": "cancelled by anna"})
    run = Run(directory, harness.ended(directory))
    assert (run.code, run.reason) == (9, "cancelled")
    assert run.detail == "cancelled by anna; exited with code 9 after SIGTERM"
    assert run.stdout == b"up\nbye\n"
    assert run.steps[:3] == ["spawned", "first_output", "interrupt"]


def test_cancel_kills_what_ignores_it_after_the_grace_period(harness: ShimHarness) -> None:
    directory = harness.start(sh("trap '' TERM; echo up; while :; do sleep 0.02; done"), grace=60.0)
    eventually((directory / "output.log").exists)
    began = time.monotonic()
    assert tell(directory, {"do": "stop", "detail": "too late", "grace": 0.2})
    run = Run(directory, harness.ended(directory))
    assert time.monotonic() - began >= 0.2
    assert (run.code, run.reason) == (137, "cancelled")
    assert run.detail.startswith("too late; killed by SIGKILL after SIGTERM")
    assert run.steps[2:4] == ["interrupt", "kill"]


def test_cancel_reaches_a_stopped_job_with_its_own_signal(harness: ShimHarness) -> None:
    directory = harness.start(
        sh("trap 'exit 5' INT; echo up; kill -STOP $$; sleep 30 & wait"), stop_signal="SIGINT"
    )
    eventually(lambda: state(harness.started(directory)["pid"]) == "T")
    assert tell(directory, {"do": "stop"})
    run = Run(directory, harness.ended(directory))
    assert (run.code, run.detail) == (5, "cancelled; exited with code 5 after SIGINT")


def test_kill_is_immediate(harness: ShimHarness) -> None:
    directory = harness.start(sh("trap '' TERM; echo up; sleep 60"), grace=60.0)
    eventually((directory / "output.log").exists)
    tell(directory, {"do": "kill", "detail": "superseded"})
    run = Run(directory, harness.ended(directory))
    assert (run.code, run.reason) == (137, "cancelled")
    assert run.detail == "superseded; killed by SIGKILL"


def test_garbage_on_the_channel_changes_nothing(harness: ShimHarness, gate: Gate) -> None:
    directory = harness.start(sh(f"{gate.wait}; exit 4"))
    harness.started(directory)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        for junk in (b"", b"\xff\x00", b"[]", b"{}", b'{"do":["x"]}', b'{"do":"hold","for":"x"}'):
            sender.sendto(junk, str(directory / "control"))
    gate.open()
    assert harness.ended(directory)["exit_code"] == 4


def test_timeout(harness: ShimHarness) -> None:
    run = harness.run(["sleep", "600"], timeout=0.3)
    assert (run.code, run.reason) == (143, "timeout")
    assert run.detail == "timeout of 300ms reached; ended by SIGTERM"
    assert run.steps[:3] == ["spawned", "timeout", "interrupt"]
    assert run.record["usage"]["duration"] >= 0.3


def test_a_job_that_ends_in_time_has_no_timeout(harness: ShimHarness) -> None:
    assert harness.run(["true"], timeout=600.0).reason == "exit"


MEMORY_HOG = "b = bytearray(120 * 2**20); import time; time.sleep(60)"


def test_the_memory_limit_kills_at_once_and_a_sibling_lives(harness: ShimHarness) -> None:
    sibling = harness.start(sh("sleep 60"), memory_limit=64 << 20)
    run = harness.run(
        sh(f"'{sys.executable}' -I -S -c '{MEMORY_HOG}'; true"), memory_limit=64 << 20
    )
    assert (run.code, run.reason) == (137, "memory_limit")
    assert re.fullmatch(
        r"killed: memory limit 64 MiB reached at 0:\d\d \(peak \d+(\.\d)? MiB\)", run.detail
    )
    assert run.record["usage"]["max_rss"] > 64 << 20
    assert running(harness.started(sibling)["pid"])
    tell(sibling, {"do": "kill"})
    harness.ended(sibling)


# Process trees ------------------------------------------------------------------------------

DAEMON = (
    "import os, sys, time\n"
    "if os.fork(): os.wait(); os._exit(0)\n"
    "os.setsid()\n"
    "if os.fork(): os._exit(0)\n"
    "signal = __import__('signal'); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "os.environ.clear()\n"
    "open(sys.argv[1], 'w').write(str(os.getpid()))\n"
    "time.sleep(600)\n"
)


def daemon(path: Path) -> str:
    """A shell command that leaves a daemon (double fork, own session) and waits for its pid."""
    quoted = DAEMON.replace("'", '"')
    return f"'{sys.executable}' -I -S -c '{quoted}' {path}; while [ ! -s {path} ]; do :; done"


def test_a_daemonised_grandchild_dies_with_the_job(harness: ShimHarness, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    run = harness.run(sh(f"{daemon(note)}; exit 6"))
    assert run.code == 6 and "swept" in run.steps
    assert not running(int(note.read_text()))


def test_a_daemonised_grandchild_dies_with_a_kill(harness: ShimHarness, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    directory = harness.start(sh(f"trap '' TERM; {daemon(note)}; sleep 60"), grace=0.1)
    eventually(lambda: note.exists() and note.read_text())
    tell(directory, {"do": "stop"})
    assert harness.ended(directory)["exit_code"] == 137
    assert not running(int(note.read_text()))


def test_an_inherited_pipe_holds_nobody_up(harness: ShimHarness) -> None:
    # Whoever holds the pipe outlives what this test waits for the end.
    run = harness.run(sh("sleep 600 & echo before; exit 2"))
    assert run.code == 2 and run.stdout == b"before\n"


def test_keep_processes(harness: ShimHarness, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    run = harness.run(sh(f"{daemon(note)}; echo up"), keep_processes=True)
    assert run.code == 0 and run.stdout == b"up\n"
    pid = int(note.read_text())
    try:
        # Other attempts come and go, and the shim that kept it is replaced.
        for _ in range(4):
            assert harness.run(["true"]).code == 0
        assert running(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_fork_bomb_is_killed(harness: ShimHarness) -> None:
    program = (
        "import os, time\n"
        "for _ in range(6):\n"
        "    if os.fork() == 0 and os.fork() == 0: os.setsid()\n"
        "time.sleep(60)\n"
    )
    directory = harness.start([*PYTHON, program], grace=0.0)
    shim = harness.started(directory)["shim_pid"]
    eventually(lambda: len(tree(shim)) > 50)
    tell(directory, {"do": "kill"})
    record = harness.ended(directory)
    assert record["exit_code"] == 137
    assert tree(shim) == []
    assert "survivors" not in [step["what"] for step in record["steps"]]


def tree(root: int) -> list[int]:
    from remote_agent.processes.linux import descendants

    return [pid for pid in descendants(root) if running(pid)]


def test_a_removed_directory_ends_its_attempt(harness: ShimHarness) -> None:
    directory = harness.start(sh("while :; do echo tick; sleep 0.01; done"), segment_size=1000)
    pid = harness.started(directory)["pid"]
    eventually(lambda: list(directory.glob("output.0*")))

    def removed() -> bool:
        shutil.rmtree(directory, ignore_errors=True)
        return not running(pid)

    eventually(removed)
    assert harness.run(["true"]).code == 0


_COUNTED = """
import os, sys
def count(name, call):
    def sync(descriptor):
        print(name, os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")), flush=True)
        call(descriptor)
    setattr(os, name, sync)
count("fsync", os.fsync)
count("fdatasync", os.fdatasync)
from remote_agent.shim.__main__ import main
sys.exit(main(["run", sys.argv[1]]))
"""


@pytest.mark.parametrize(("agent", "sync"), [("there", True), ("nobody", True), ("nobody", False)])
def test_an_end_of_which_no_agent_hears_is_forced_to_the_disk(
    harness: ShimHarness, agent: str, sync: bool
) -> None:
    where = {} if agent == "there" else {"agent_socket": "../../nobody.sock"}
    directory = harness.make(["echo", "hi"], sync=sync, **where)
    call = [sys.executable, "-c", _COUNTED, str(directory)]
    done = subprocess.run(call, stdout=subprocess.PIPE, check=True, timeout=60, text=True)
    run = Run(directory, harness.ended(directory))
    assert (run.code, run.stdout) == (0, b"hi\n")
    names = ["attempt.jsonl", "exit.json", "output.log", "started.json", "work"]
    assert sorted(os.listdir(directory)) == names
    forced = ["fdatasync output.log", "fsync exit.json", f"fsync {directory.name}"]
    forced += ["fsync attempt.jsonl", f"fsync {directory.parent.name}"]
    assert done.stdout.splitlines() == (forced if sync and agent == "nobody" else [])


def test_a_job_in_a_group_of_its_own(harness: ShimHarness, tmp_path: Path) -> None:
    mine = own_group(
        Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text()
    )
    if mine is None or not os.access(mine, os.W_OK):
        pytest.skip("there is no cgroup v2 here that this account may write")
    base = Path(mine) / f"test-{os.getpid()}"
    base.mkdir()
    try:
        note = tmp_path / "pid"
        text = f"cat /proc/self/cgroup; {daemon(note)}; exit 3"
        directory = harness.start(sh(text), cgroup=str(base), io_weight=100)
        run = Run(directory, harness.ended(directory))
        assert run.code == 3
        groups = [line for line in run.stdout.decode().splitlines() if line.startswith("0::")]
        assert groups[0].endswith(f"/{base.name}/job-{directory.name}")
        assert harness.started(directory)["cgroup"] == f"{base}/job-{directory.name}"
        assert not running(int(note.read_text()))
        # A group that cannot have the limit: said, and the watch takes its place.
        if "memory" not in (base / "cgroup.controllers").read_text().split():
            run = harness.run(["true"], cgroup=str(base), memory_limit=1 << 30)
            assert run.code == 0 and run.steps[0] == "limits"
        eventually(lambda: not [path for path in base.iterdir() if path.is_dir()])
    finally:
        base.rmdir()
