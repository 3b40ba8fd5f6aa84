"""The launcher with real shims: replacement, guarding, resizing, and the end of everything."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from remote_agent.shim import worker
from remote_agent.shim.launcher_client import LauncherClient
from tests.agent.shim.test_attempt import daemon, sh
from tests.agent.shim.test_feed import append
from tests.support.shim_harness import Gate, ShimHarness, eventually, gone, open_files, running


def test_shims_are_reused(harness: ShimHarness) -> None:
    shims = set()
    for _ in range(12):
        shims.add(harness.keeper())
    assert shims <= set(harness.workers()) and len(shims) <= 3


def test_a_shim_can_change_its_score_before_it_forbids_to_look_into_it(
    harness: ShimHarness,
) -> None:
    def files() -> list[str]:
        return [name for pid in harness.workers() for name in open_files(pid)]

    eventually(lambda: sum(name.endswith("/oom_score_adj") for name in files()) == 3)


def test_a_reused_shim_leaks_nothing(harness: ShimHarness) -> None:
    eventually(lambda: len(harness.workers()) == 3, what="for all shims, that none comes later")
    harness.shims.resize(1)
    eventually(lambda: len(harness.workers()) == 1)
    (shim,) = harness.workers()

    def state() -> dict[str, object]:
        proc = Path(f"/proc/{shim}")
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        return {
            "files": sorted(open_files(shim)),
            "cwd": os.readlink(proc / "cwd"),
            "mask": [status[name].strip() for name in ("SigBlk", "SigIgn", "SigCgt", "Umask")],
            "environ": (proc / "environ").read_bytes(),
            "oom": (proc / "oom_score_adj").read_text(),
            "children": (proc / "task" / str(shim) / "children").read_text(),
        }

    def idle() -> dict[str, object] | None:
        """The state, once the shim has left the attempt, whose directory it closes last."""
        found = state()
        return None if str(harness.root / "attempts") in str(found) else found

    harness.run(["true"])
    before = eventually(idle)
    harness.run(sh("umask 0; echo out; echo err >&2; export X=1; exit 3"), timeout=9.0)
    harness.run(["no-such-program"])
    harness.run(sh("sleep 60 & sleep 60 & kill -9 $$"), memory_limit=1 << 30, max_log=5000)
    harness.run(sh("sleep 60"), timeout=0.1)
    run = harness.run(["env"])
    assert harness.workers() == [shim]
    eventually(lambda: state() == before, what=f"{state()} != {before}")
    assert b"X=" not in run.stdout and len(run.stdout.splitlines()) == 3


def test_the_death_of_a_shim_ends_its_whole_job_at_once(
    harness: ShimHarness, tmp_path: Path
) -> None:
    note, other = tmp_path / "pid", harness.start(["sleep", "60"])
    directory = harness.start(sh(f"{daemon(note)}; sleep 60 & sleep 60"))
    eventually(lambda: note.exists() and note.read_text())
    started = harness.started(directory)
    os.kill(started["shim_pid"], signal.SIGKILL)
    for pid in (started["pid"], int(note.read_text())):
        gone(pid)
    assert not (directory / "exit.json").exists()
    # The others never notice, and the shim is replaced.
    assert running(harness.started(other)["pid"])
    eventually(lambda: len(harness.workers()) == 3)
    assert harness.run(["true"]).code == 0
    eventually(lambda: "died with status -9; killed" in harness.log())
    os.kill(harness.started(other)["pid"], signal.SIGKILL)
    assert harness.ended(other)["end_reason"] == "signal"


def test_the_death_of_a_shim_is_no_end_of_its_jobs_input(
    harness: ShimHarness, tmp_path: Path
) -> None:
    """A job must not take a part of its input for all of it."""
    program = f"import sys; sys.stdin.buffer.read(); open({str(tmp_path / 'ended')!r}, 'w')"
    directory = harness.start([sys.executable, "-I", "-S", "-c", program], stdin=True)
    append(directory, b"a part")
    started = harness.started(directory)
    job, shim, launcher = started["pid"], started["shim_pid"], harness.shims.pid
    assert launcher is not None
    pipe = os.readlink(f"/proc/{job}/fd/0")
    eventually(lambda: pipe in open_files(launcher))
    # A launcher that is slow to kill leaves the job all the time that it wants.
    os.kill(launcher, signal.SIGSTOP)
    try:
        os.kill(shim, signal.SIGKILL)
        gone(shim)
        assert pipe in open_files(launcher)
    finally:
        os.kill(launcher, signal.SIGCONT)
    gone(job)
    eventually(lambda: pipe not in open_files(launcher))
    assert not (tmp_path / "ended").exists()


def test_inputs_leave_the_launcher_what_it_needs_to_kill(tmp_path: Path) -> None:
    harness = ShimHarness(tmp_path / "state")
    harness.shims = LauncherClient(tmp_path / "state" / "shim.log", descriptors=40)
    harness.shims.start(45)
    try:
        jobs = [harness.start(["sleep", "60"], stdin=True) for _ in range(44)]
        started = [harness.started(job) for job in jobs]
        launcher = harness.shims.pid
        assert launcher is not None
        eventually(lambda: len(open_files(launcher)) > 44, what="for all inputs")
        assert harness.run(sh("ulimit -n")).stdout == b"40\n"
        os.kill(started[-1]["shim_pid"], signal.SIGKILL)
        gone(started[-1]["pid"])
    finally:
        for shim in harness.workers():
            with suppress(ProcessLookupError):  # the one that was killed may be among them
                os.kill(shim, signal.SIGKILL)
        harness.close()


def test_kept_processes_survive_the_death_of_another_shim(
    harness: ShimHarness, tmp_path: Path
) -> None:
    note = tmp_path / "pid"
    keep = daemon(note).replace("os.environ.clear()", "pass")
    assert harness.run(sh(keep), keep_processes=True).code == 0
    pid = int(note.read_text())
    try:
        victim = harness.started(harness.start(["sleep", "60"]))
        os.kill(victim["shim_pid"], signal.SIGKILL)
        eventually(lambda: not running(victim["pid"]))
        assert running(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_the_pool_grows_and_shrinks(harness: ShimHarness) -> None:
    harness.shims.resize(6)
    eventually(lambda: len(harness.workers()) == 6)
    harness.shims.resize(2)
    eventually(lambda: len(harness.workers()) == 2)
    assert harness.run(["true"]).code == 0
    assert len(harness.workers()) == 2


def test_a_busy_shim_is_not_taken_away(harness: ShimHarness, gate: Gate) -> None:
    harness.shims.resize(4)
    directories = [harness.start(sh(gate.wait)) for _ in range(3)]
    for directory in directories:
        harness.started(directory)
    eventually(lambda: len(harness.workers()) == 4)
    harness.shims.resize(1)
    eventually(lambda: len(harness.workers()) == 3, what="for the free one to go")
    gate.open(3)
    assert [harness.ended(directory)["exit_code"] for directory in directories] == [0, 0, 0]
    eventually(lambda: len(harness.workers()) == 1)


def test_an_attempt_that_is_asked_for_twice_starts_once(
    harness: ShimHarness, tmp_path: Path, gate: Gate
) -> None:
    directory = harness.make(sh(f"echo start >> {tmp_path}/starts; {gate.wait}"))
    other = LauncherClient(tmp_path / "other.log")
    other.start(2)
    try:
        for _ in range(3):
            harness.shims.request(directory)
            other.request(directory)
        gate.open()
        harness.ended(directory)
        harness.shims.request(directory)
        assert harness.run(["true"]).code == 0
    finally:
        other.close()
    assert (tmp_path / "starts").read_text() == "start\n"


def test_when_the_agent_goes_running_attempts_go_on_and_the_rest_ends(
    harness: ShimHarness, gate: Gate
) -> None:
    launcher = harness.shims.pid
    busy = [harness.start(sh(f"{gate.wait}; echo late")) for _ in range(3)]
    waiting = [harness.start(["echo", "queued"]) for _ in range(2)]
    shims = [harness.started(directory)["shim_pid"] for directory in busy]
    harness.shims.close()
    gate.open(3)
    for directory in [*busy, *waiting]:
        assert harness.ended(directory)["exit_code"] == 0
    for pid in [*shims, launcher]:
        assert pid is not None
        gone(pid)


def test_the_launcher_guards_its_shims_jobs_without_an_agent(harness: ShimHarness) -> None:
    directory = harness.start(sh("sleep 60 & sleep 60"))
    started = harness.started(directory)
    harness.shims.close()
    os.kill(started["shim_pid"], signal.SIGKILL)
    eventually(lambda: not running(started["pid"]))


def test_shims_outlive_their_launcher(harness: ShimHarness, gate: Gate) -> None:
    directory = harness.start(sh(f"{gate.wait}; exit 7"))
    harness.started(directory)
    assert harness.shims.pid is not None
    os.kill(harness.shims.pid, signal.SIGKILL)
    gone(harness.shims.pid)
    gate.open()
    assert harness.ended(directory)["exit_code"] == 7
    eventually(lambda: not harness.shims.alive())
    harness.shims.start(1)
    assert harness.run(["true"]).code == 0


def test_shims_are_replaced_after_a_number_of_attempts(tmp_path: Path) -> None:
    harness = ShimHarness(tmp_path / "state")
    harness.shims.start(1)
    try:
        first = harness.keeper()
        for _ in range(worker.ATTEMPTS - 1):
            harness.run(["true"])
        last = harness.keeper()
        assert first != last and harness.workers() == [last]
        assert harness.log() == ""
    finally:
        harness.close()


def test_a_shim_imports_nothing_heavy_and_stays_small(harness: ShimHarness) -> None:
    # All three: what they share counts for each in part.
    (shim, *_) = eventually(lambda: len(pids := harness.workers()) == 3 and pids)
    maps = Path(f"/proc/{shim}/maps").read_text()
    for library in ("_ssl", "_asyncio", "pydantic", "websockets"):
        assert library not in maps
    rollup = Path(f"/proc/{shim}/smaps_rollup").read_text()
    pss = int(next(line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:")))
    assert pss < 8 * 1024, f"{pss} KiB with {len(harness.workers())} shims, {sys.version}"
