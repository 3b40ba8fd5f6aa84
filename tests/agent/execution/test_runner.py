"""The runner with a real journal, launcher, shims and jobs."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import threading
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from remote_agent.config import Config
from remote_agent.execution import end_syncs, stopping
from remote_agent.execution import runner as module
from remote_agent.execution.notifications import Notification
from remote_agent.execution.runner import Runner
from remote_agent.journal import Journal
from remote_agent.journal.losses import lost
from remote_agent.planning import kinds
from remote_agent.planning.order import HostContext
from remote_agent.planning.paths import JobPaths
from remote_agent.planning.work import Work, WorkFile
from remote_agent.sections import AgentPart
from remote_agent.session.events import AttemptEnded, AttemptStarted, SpoolGrew
from remote_agent.session.hello import HostFacts
from remote_agent.session.machine import Session
from remote_protocol import cri
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Ended, Offer
from remote_protocol.spec import CommandSpec, JobSpec
from remote_protocol.states import EndReason
from tests.support.fake_server import new_key, until
from tests.support.shim_harness import LIMIT, in_pipe, running, state


class World:
    """A runner and what it reported."""

    def __init__(self, state_dir: Path) -> None:
        config = Config(state_dir=state_dir, agent=AgentPart(durability="normal"))
        self.journal = Journal(config, HostContext("tester", os.environ))
        self.events: list[object] = []
        self.mark = state_dir / "mark"
        self.runner = Runner(state_dir, self.journal)

    def store(self, script: str, **more) -> AttemptId:
        key = new_key()
        spec = CommandSpec(command=["sh", "-c", script], **more)
        self.journal.store(Offer(attempt=key, spec=spec))
        return key

    def run(self, script: str, **more) -> AttemptId:
        key = self.store(script, **more)
        self.runner.start(key)
        return key

    def started(self, key: AttemptId) -> AttemptStarted | None:
        found = [e for e in self.events if isinstance(e, AttemptStarted) and e.key == key]
        assert len(found) <= 1
        return found[0] if found else None

    def ended(self, key: AttemptId) -> Ended | None:
        found = [e for e in self.events if isinstance(e, AttemptEnded) and e.key == key]
        assert len(found) <= 1
        return found[0].ended if found else None

    async def end_of(self, key: AttemptId) -> Ended:
        await until(lambda: self.ended(key), f"{key} ends")
        ended = self.ended(key)
        assert ended is not None
        return ended

    def output(self, key: AttemptId) -> bytes:
        return cri.decode((self.journal.path(key) / "output.log").read_bytes())


@asynccontextmanager
async def ticking(world: World):
    """Open the runner and look after it, a little faster than the agent does."""
    world.runner.open(world.events.append)

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.2)
            world.runner.tick()

    task = asyncio.create_task(tick())
    try:
        yield world
    finally:
        task.cancel()
        world.runner.close()


@pytest.fixture
async def world(tmp_path):
    async with ticking(World(tmp_path)) as it:
        yield it


async def test_a_job_is_heard_of_from_spawn_to_end(world):
    key = world.run("echo hello; exit 4")
    ended = await world.end_of(key)
    assert (ended.exit_code, ended.end_reason) == (4, EndReason.EXIT)
    assert (world.started(key) or ended.started_at) and world.output(key) == b"hello\n"
    assert ended.size > len(b"hello\n"), "the log with the times of its lines"
    assert world.runner.running == 0


async def test_a_kind_of_its_own_needs_its_planner_and_nothing_else(world, monkeypatch):
    def plan(spec: JobSpec, paths: JobPaths, config: Config, engine: object) -> Work:
        own = WorkFile("greeting", b"hello ", 0o600, own=True)
        return Work(["cat", paths.of(own.path), "-"], (own,), payload=b"from a payload")

    monkeypatch.setattr(kinds, "PLANNERS", {"command": plan})
    key = world.run("never run")
    assert (await world.end_of(key)).exit_code == 0
    assert world.output(key) == b"hello from a payload"


async def test_without_any_event_the_disk_tells_it_all(world):
    world.runner._socket.close()
    key = world.run("echo a; sleep 0.5; echo b")
    await until(lambda: world.started(key))
    await until(lambda: any(isinstance(e, SpoolGrew) for e in world.events))
    assert (await world.end_of(key)).exit_code == 0
    assert world.output(key) == b"a\nb\n"


async def test_an_end_that_nobody_told_is_reported_with_its_start(tmp_path):
    world = World(tmp_path)
    world.runner.open(world.events.append)
    world.runner._socket.close()
    key = world.run("exit 4")
    await until((world.journal.path(key) / "exit.json").exists)
    recorded = (world.journal.path(key) / "started.json").stat().st_size > 0
    world.runner.tick()
    *earlier, end = world.events
    assert isinstance(end, AttemptEnded) and (end.key, end.ended.exit_code) == (key, 4)
    assert end.ended.started_at is not None
    # Of a job that has lasted longer than a start waits for its end.
    assert earlier == ([world.started(key)] if recorded else [])
    world.runner.close()


async def test_asked_for_twice_it_starts_once(world):
    key = world.run("echo once; sleep 0.2")
    world.runner.start(key)
    world.runner.start(key)
    await world.end_of(key)
    world.runner.start(key)
    await until(lambda: world.runner.running == 0)
    assert world.output(key) == b"once\n"


async def test_more_attempts_than_shims_all_run(world):
    world.runner.resize(2)
    keys = [world.run("true") for _ in range(40)]
    for key in keys:
        assert (await world.end_of(key)).exit_code == 0


async def test_stop_is_polite_and_kill_is_not(world):
    # Not one long sleep: a shell that is just about to start it hears the signal alone.
    polite = world.run("trap 'exit 3' TERM; exec 2>&-; echo up; while :; do sleep 0.1; done")
    rude = world.run("trap '' TERM; echo up; sleep 60")
    await until(
        lambda: all((world.journal.path(k) / "output.log").exists() for k in (polite, rude))
    )
    world.runner.stop(polite, EndReason.TIMEOUT, "the server's clock")
    world.runner.kill(rude, "superseded")
    assert (await world.end_of(polite)).end_reason is EndReason.TIMEOUT
    assert world.ended(polite).exit_code == 3
    ended = await world.end_of(rude)
    assert (ended.exit_code, ended.end_reason) == (137, EndReason.LOST)


async def test_a_wish_right_after_the_start_is_not_lost(world):
    keys = [world.run("sleep 60") for _ in range(6)]
    for key in keys:
        world.runner.stop(key, EndReason.CANCELLED, "changed my mind")
    for key in keys:
        assert (await world.end_of(key)).end_reason is EndReason.CANCELLED


async def test_a_shim_that_was_stopped_is_woken_for_a_wish(world, monkeypatch):
    monkeypatch.setattr(stopping, "REPEAT", 0.3)
    key = world.run("sleep 60")
    await until(lambda: world.started(key), "it starts")
    record = world.journal.look(key)
    os.kill(record.started.shim_pid, signal.SIGSTOP)
    world.runner.stop(key, EndReason.CANCELLED, "enough")
    ended = await world.end_of(key)
    assert ended.end_reason is EndReason.CANCELLED


async def test_stopped_before_its_start_it_never_starts(world):
    key = world.store("echo never")
    world.runner.stop(key, EndReason.CANCELLED, "no longer needed")
    ended = await world.end_of(key)
    assert (ended.exit_code, ended.size) == (None, 0)
    assert ended.end_detail == "no longer needed; it had not started"
    world.runner.start(key)
    await until(lambda: world.runner.running == 0)
    assert not (world.journal.path(key) / "output.log").exists()


async def test_a_dead_shim_is_a_lost_attempt(world):
    key = world.run("sleep 60")
    await until(lambda: world.started(key))
    record = world.journal.look(key)
    assert record is not None and record.started is not None
    os.kill(record.started.shim_pid, signal.SIGKILL)
    ended = await world.end_of(key)
    assert ended.end_reason is EndReason.LOST and "shim died" in ended.end_detail
    await until(lambda: not os.path.exists(f"/proc/{record.started.pid}"))


async def test_a_directory_that_somebody_removed_is_a_lost_attempt(world):
    key = world.run("sleep 60")
    await until(lambda: world.started(key))
    world.journal.path(key).rename(world.journal.path(key).parent.parent / "stolen")
    ended = await world.end_of(key)
    assert ended.end_reason is EndReason.LOST and "removed" in ended.end_detail
    await until(lambda: not running(world.started(key).pid), "its job was killed")


@pytest.mark.parametrize("instead", [Path.touch, lambda path: path.symlink_to(path.parents[1])])
async def test_what_takes_the_place_of_a_removed_directory_goes_with_the_attempt(world, instead):
    others = world.mark.parent / "work"
    others.mkdir()
    key = world.run("sleep 60")
    await until(lambda: world.started(key))
    path = world.journal.path(key)
    path.rename(path.parent.parent / "stolen")
    await world.end_of(key)
    instead(path)
    world.runner.forget(key)
    assert all(record.key != key for record in world.journal.scan())
    assert others.exists(), "what a link leads to is not the attempt's"


DAMAGES = {
    "closed": "chmod 000 ..",
    "a directory as exit record": "mkdir ../exit.json",
    "a FIFO as exit record": "mkfifo ../exit.json",
    "a FIFO as its draft": "mkfifo ../exit.json.tmp",
    "a log that is a directory": "rm -f ../output.log; mkdir ../output.log",
    "a log that is a link": "rm -f ../output.log; ln -s /etc/passwd ../output.log",
    "no socket": "rm ../control",
    "a socket that is a FIFO": "rm ../control; mkfifo ../control",
    "no start record": "rm ../started.json",
    "a directory as start record": "rm ../started.json; mkdir ../started.json",
    "a link as start record": "rm ../started.json; ln -s /dev/zero ../started.json",
    "no order": "rm ../attempt.jsonl",
    "an order that is a directory": "rm ../attempt.jsonl; mkdir ../attempt.jsonl",
    "another directory": "d=$(cd ..; pwd); mv $d $d.away; mkdir $d",
    "a file in its place": "d=$(cd ..; pwd); mv $d $d.away; touch $d",
    "a link in its place": "d=$(cd ..; pwd); mv $d $d.away; ln -s /etc $d",
    "nothing": "cd ..; rm -rf *",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
async def test_a_job_that_damages_its_directory_ends_and_the_others_go_on(world, damage):
    other = world.run(f"while [ ! -e {world.mark} ]; do sleep 0.02; done; echo fine")
    bad = world.run(f"echo before; {damage}; echo after; exit 4")
    ended = await world.end_of(bad)
    if ended.exit_code is None:
        assert ended.end_reason is EndReason.LOST and "directory" in ended.end_detail
    else:
        assert (ended.exit_code, ended.end_reason) == (4, EndReason.EXIT)
    assert world.ended(other) is None
    world.mark.touch()
    assert (await world.end_of(other)).exit_code == 0 and world.output(other) == b"fine\n"
    world.runner.forget(bad)
    assert all(record.key != bad for record in world.journal.scan())


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
async def test_a_job_that_has_damaged_its_directory_can_be_cancelled(world, damage, monkeypatch):
    monkeypatch.setattr(stopping, "UNHEARD_FOR", 0.3)
    mark, done = {"REMOTE_MARK": str(world.mark)}, Path(f"{world.mark}.done")
    key = world.run(
        f"echo $$ > $REMOTE_MARK; {damage}; touch $REMOTE_MARK.done; sleep 60", env=mark
    )
    # Noticed half-way, or before its start is, it is lost at once.
    await until(
        lambda: (world.started(key) and done.exists()) or world.ended(key), "the damage is noticed"
    )
    pid = int(world.mark.read_text())
    if world.ended(key) is None:  # as the session does it, which asks nothing of what has ended
        world.runner.stop(key, EndReason.CANCELLED, "enough")
    ended = await world.end_of(key)
    assert ended.end_reason in (EndReason.CANCELLED, EndReason.LOST)
    await until(lambda: not running(pid), "its job is gone")


async def test_records_that_a_full_disk_does_not_take_come_as_events(world):
    key = world.run("sleep 60")
    await until(lambda: world.started(key), "it starts")
    body = lost("no room", 0, 0, None) | {"exit_code": 143, "end_reason": "cancelled"}
    for record in ({**body, "checksum": -1}, body):
        world.runner._heard(Notification(key, "ended", record=record))
    ended = world.ended(key)
    assert ended is not None and ended.end_reason is EndReason.CANCELLED
    os.kill(world.started(key).pid, signal.SIGKILL)


async def test_an_end_that_comes_with_its_record_needs_no_look(world):
    key = world.run("sleep 60")
    await until(lambda: world.started(key), "it starts")
    body = lost("", 0, 0, None) | {"exit_code": 3, "end_reason": "exit", "end_detail": "so it was"}
    for written in (b"", b"[]", b"{", json.dumps(body | {"checksum": -1}).encode()):
        world.runner._heard(Notification(key, "ended", written=written))
        assert world.ended(key) is None, "there is no record on the disk"
    written = json.dumps(body).encode()
    for _ in range(2):
        world.runner._heard(Notification(key, "ended", written=written))
    ended = world.ended(key)
    assert (ended.exit_code, ended.end_detail) == (3, "so it was")
    os.kill(world.started(key).pid, signal.SIGKILL)


async def test_an_end_that_comes_with_its_start_says_both(world):
    key = world.store("sleep 60")
    world.runner._watched[key] = stopping.RunningAttempt(world.journal.directory(key))
    body = lost("", 0, 0, None) | {"exit_code": 3, "end_reason": "exit", "started_at": 2.5}
    written = json.dumps(body).encode()
    world.runner._heard(Notification(key, "ended", pid=7, at=2.5, written=written))
    assert [type(event) for event in world.events] == [AttemptEnded]
    assert world.ended(key).started_at == 2.5


async def test_a_start_whose_end_has_to_be_looked_up_is_told(world):
    key = world.run("sleep 60")
    await until(lambda: world.started(key), "it starts")
    started = world.started(key)
    world.events.clear()
    world.runner._watched[key].started = False
    for written in (b"", b"no record"):
        note = Notification(key, "ended", pid=started.pid, at=started.at, written=written)
        world.runner._heard(note)
        assert world.ended(key) is None, "there is no record on the disk"
    assert [event for event in world.events if isinstance(event, AttemptStarted)] == [started]
    os.kill(started.pid, signal.SIGKILL)


async def test_a_removed_directory_is_named_also_when_its_end_is_known(world, capsys):
    key = world.run("sleep 60")
    await until(lambda: world.started(key), "it starts")
    pid = world.started(key).pid
    path = world.journal.path(key)

    def removed() -> bool:
        # Again: its shim may put its note of the start there meanwhile.
        shutil.rmtree(path, ignore_errors=True)
        return not path.exists()

    await until(removed, "its directory is gone")
    body = lost("no room", 0, 0, None) | {"exit_code": 4, "end_reason": "exit"}
    world.runner._heard(Notification(key, "ended", record=body))
    assert world.ended(key).exit_code == 4
    said = capsys.readouterr().out
    assert "directory is gone" in said and str(key) in said
    with suppress(ProcessLookupError):  # its shim has seen it, too
        os.kill(pid, signal.SIGKILL)


async def test_a_new_runner_takes_up_what_the_old_one_left(tmp_path):
    async with ticking(World(tmp_path)) as old:
        running = old.run(f"echo a; while [ ! -e {old.mark} ]; do sleep 0.02; done; echo b")
        over = old.run("exit 5")
        waiting = old.store("echo later")
        await until(lambda: old.started(running) and old.ended(over))
    async with ticking(World(tmp_path)) as new:
        session = Session(HostFacts("test", "installation"))
        for found in new.runner.reattach():
            session.adopt(found)
        phases = {key: str(attempt.phase) for key, attempt in session.attempts.items()}
        assert phases == {running: "running", over: "ended", waiting: "accepted"}
        started, end = session.attempts[running].started, session.attempts[over].ended
        assert started is not None and started.pid == old.started(running).pid
        assert end is not None and end.exit_code == 5
        new.mark.touch()
        assert (await new.end_of(running)).exit_code == 0
        assert new.output(running) == b"a\nb\n"
        assert new.started(running) is None


async def test_a_slow_disk_makes_no_other_job_wait(world, monkeypatch):
    monkeypatch.setattr(end_syncs, "SYNC_AFTER", 0.0)
    goes_on = threading.Event()
    waiting: list[AttemptId] = []

    def sync(key: AttemptId) -> None:
        waiting.append(key)
        assert goes_on.wait(LIMIT)

    monkeypatch.setattr(world.journal, "sync", sync)
    first = world.run("true")
    await world.end_of(first)
    await until(lambda: waiting)
    try:
        # Its start, its output and its end are heard, and looked after once a second, meanwhile.
        other = world.run("echo one; echo two")
        await world.end_of(other)
        world.runner.tick()
        assert world.output(other) == b"one\ntwo\n"
        assert waiting == [first]
        world.runner.forget(first)
    finally:
        goes_on.set()
    await until(lambda: other in waiting)
    assert waiting == [first, other]


async def test_held_output_waits_and_goes_on(world):
    key = world.run("while :; do echo x; sleep 0.01; done")
    log = world.journal.path(key) / "output.log"
    await until(lambda: log.exists() and world.started(key))
    world.runner.pause_output(True)
    started = world.journal.look(key).started
    job, shim = started.pid, started.shim_pid
    # The shim sleeps though there is something to read.
    await until(lambda: in_pipe(job) > 20 and state(shim) == "S" and in_pipe(job) > 20)
    size, unread = log.stat().st_size, in_pipe(job)
    await until(lambda: in_pipe(job) > unread + 20)
    assert log.stat().st_size == size
    world.runner.pause_output(False)
    await until(lambda: log.stat().st_size > size)
    world.runner.kill(key, "")
    await world.end_of(key)


async def test_a_dead_launcher_is_replaced_and_starts_are_asked_for_again(world, capsys):
    os.kill(world.runner._shims.pid, signal.SIGKILL)
    keys = [world.run("true") for _ in range(12)]
    for key in keys:
        await world.end_of(key)
    assert "the launcher of the shims has died" in capsys.readouterr().out


async def test_a_start_that_nobody_heard_is_asked_for_again(world, monkeypatch):
    monkeypatch.setattr(module, "UNHEARD", 0.1)
    asked: list[Path] = []
    ask = world.runner._shims.request

    def unheard_once(directory: Path, secrets: None) -> None:
        asked.append(directory)
        if len(asked) > 1:
            ask(directory, secrets)

    monkeypatch.setattr(world.runner._shims, "request", unheard_once)
    assert (await world.end_of(world.run("echo late"))).exit_code == 0
    assert len(asked) >= 2


async def test_forgetting_what_cannot_be_put_away_is_told(world, monkeypatch, capsys):
    def refuse(key):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(world.journal, "settle", refuse)
    world.runner.forget(new_key())
    assert "cannot be removed; the next start" in capsys.readouterr().out


async def test_what_shims_complain_about_is_the_agents_own(tmp_path):
    path = tmp_path / "logs" / "shims.log"
    path.parent.mkdir()
    path.write_text("from before\n")
    path.chmod(0o644)
    async with ticking(World(tmp_path)):
        assert path.stat().st_mode & 0o777 == 0o600
