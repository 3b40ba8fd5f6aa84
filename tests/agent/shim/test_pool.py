"""The launcher with real shims: replacement, guarding, resizing, and the end of everything."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from remote_agent.shim import worker
from remote_agent.shim.launch import Shims
from tests.agent.shim.test_attempt import daemon, sh
from tests.support.keeper import Keeper, eventually, gone, running


def test_shims_are_reused(keeper: Keeper) -> None:
    shims = set()
    for _ in range(12):
        run = keeper.run(["true"])
        shims.add(keeper.started(run.directory)["shim_pid"])
    assert shims <= set(keeper.workers()) and len(shims) <= 3


def test_a_reused_shim_leaks_nothing(keeper: Keeper) -> None:
    eventually(lambda: len(keeper.workers()) == 3, what="for all shims, that none comes later")
    keeper.shims.resize(1)
    eventually(lambda: len(keeper.workers()) == 1)
    (shim,) = keeper.workers()

    def state() -> dict[str, object]:
        proc = Path(f"/proc/{shim}")
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        return {
            "fds": {fd.name: os.readlink(fd) for fd in (proc / "fd").iterdir()},
            "cwd": os.readlink(proc / "cwd"),
            "mask": [status[name].strip() for name in ("SigBlk", "SigIgn", "SigCgt", "Umask")],
            "environ": (proc / "environ").read_bytes(),
            "children": (proc / "task" / str(shim) / "children").read_text(),
        }

    keeper.run(["true"])
    before = eventually(lambda: (s := state())["cwd"] == "/" and s)
    keeper.run(sh("umask 0; echo out; echo err >&2; export X=1; exit 3"), timeout=9.0)
    keeper.run(["no-such-program"])
    keeper.run(sh("sleep 60 & sleep 60 & kill -9 $$"), memory_limit=1 << 30, max_log=5000)
    keeper.run(sh("sleep 60"), timeout=0.1)
    run = keeper.run(["env"])
    assert keeper.workers() == [shim]
    eventually(lambda: state() == before, what=f"{state()} != {before}")
    assert b"X=" not in run.stdout and len(run.stdout.splitlines()) == 3


def test_the_death_of_a_shim_ends_its_whole_job_at_once(keeper: Keeper, tmp_path: Path) -> None:
    note, other = tmp_path / "pid", keeper.start(["sleep", "60"])
    directory = keeper.start(sh(f"{daemon(note)}; sleep 60 & sleep 60"))
    eventually(lambda: note.exists() and note.read_text())
    started = keeper.started(directory)
    os.kill(started["shim_pid"], signal.SIGKILL)
    for pid in (started["pid"], int(note.read_text())):
        gone(pid)
    assert not (directory / "exit.json").exists()
    # The others never notice, and the shim is replaced.
    assert running(keeper.started(other)["pid"])
    eventually(lambda: len(keeper.workers()) == 3)
    assert keeper.run(["true"]).code == 0
    eventually(lambda: "died with status -9; killed" in keeper.log())
    os.kill(keeper.started(other)["pid"], signal.SIGKILL)
    assert keeper.ended(other)["end_reason"] == "signal"


def test_kept_processes_survive_the_death_of_another_shim(keeper: Keeper, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    keep = daemon(note).replace("os.environ.clear()", "pass")
    assert keeper.run(sh(keep), keep_processes=True).code == 0
    pid = int(note.read_text())
    try:
        victim = keeper.started(keeper.start(["sleep", "60"]))
        os.kill(victim["shim_pid"], signal.SIGKILL)
        eventually(lambda: not running(victim["pid"]))
        assert running(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_the_pool_grows_and_shrinks(keeper: Keeper) -> None:
    keeper.shims.resize(6)
    eventually(lambda: len(keeper.workers()) == 6)
    keeper.shims.resize(2)
    eventually(lambda: len(keeper.workers()) == 2)
    assert keeper.run(["true"]).code == 0
    assert len(keeper.workers()) == 2


def test_a_busy_shim_is_not_taken_away(keeper: Keeper) -> None:
    directories = [keeper.start(["sleep", "1"]) for _ in range(3)]
    for directory in directories:
        keeper.started(directory)
    keeper.shims.resize(1)
    assert [keeper.ended(directory)["exit_code"] for directory in directories] == [0, 0, 0]
    eventually(lambda: len(keeper.workers()) == 1)


def test_an_attempt_that_is_asked_for_twice_starts_once(keeper: Keeper, tmp_path: Path) -> None:
    directory = keeper.make(sh(f"echo start >> {tmp_path}/starts; sleep 0.3"))
    other = Shims(tmp_path / "other.log")
    other.start(2)
    try:
        for _ in range(3):
            keeper.shims.request(directory)
            other.request(directory)
        keeper.ended(directory)
        keeper.shims.request(directory)
        assert keeper.run(["true"]).code == 0
    finally:
        other.close()
    assert (tmp_path / "starts").read_text() == "start\n"


def test_when_the_agent_goes_running_attempts_go_on_and_the_rest_ends(keeper: Keeper) -> None:
    launcher = keeper.shims.pid
    busy = [keeper.start(sh("sleep 1; echo late")) for _ in range(3)]
    waiting = [keeper.start(["echo", "queued"]) for _ in range(2)]
    shims = [keeper.started(directory)["shim_pid"] for directory in busy]
    keeper.shims.close()
    for directory in [*busy, *waiting]:
        assert keeper.ended(directory)["exit_code"] == 0
    for pid in [*shims, launcher]:
        assert pid is not None
        gone(pid)


def test_the_launcher_guards_its_shims_jobs_without_an_agent(keeper: Keeper) -> None:
    directory = keeper.start(sh("sleep 60 & sleep 60"))
    started = keeper.started(directory)
    keeper.shims.close()
    os.kill(started["shim_pid"], signal.SIGKILL)
    eventually(lambda: not running(started["pid"]))


def test_shims_outlive_their_launcher(keeper: Keeper) -> None:
    directory = keeper.start(sh("sleep 0.5; exit 7"))
    keeper.started(directory)
    assert keeper.shims.pid is not None
    os.kill(keeper.shims.pid, signal.SIGKILL)
    assert keeper.ended(directory)["exit_code"] == 7
    eventually(lambda: not keeper.shims.alive())
    keeper.shims.start(1)
    assert keeper.run(["true"]).code == 0


def test_shims_are_replaced_after_a_number_of_attempts(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "state")
    keeper.shims.start(1)
    try:
        first = keeper.started(keeper.run(["true"]).directory)["shim_pid"]
        for _ in range(worker.ATTEMPTS - 1):
            keeper.run(["true"])
        last = keeper.started(keeper.run(["true"]).directory)["shim_pid"]
        assert first != last and keeper.workers() == [last]
        assert keeper.log() == ""
    finally:
        keeper.close()


def test_a_shim_imports_nothing_heavy_and_stays_small(keeper: Keeper) -> None:
    (shim, *_) = eventually(keeper.workers)
    maps = Path(f"/proc/{shim}/maps").read_text()
    for library in ("_ssl", "_asyncio", "pydantic", "websockets"):
        assert library not in maps
    rollup = Path(f"/proc/{shim}/smaps_rollup").read_text()
    pss = int(next(line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:")))
    assert pss < 8 * 1024, f"{pss} KiB with {len(keeper.workers())} shims, {sys.version}"
