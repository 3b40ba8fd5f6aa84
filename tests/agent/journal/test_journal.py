"""Attempts are found again after anything: with real shims, dead ones, and rubbish beside them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

from remote_agent.config import Config
from remote_agent.journal import AttemptRecord, Journal
from remote_agent.journal.directory import NumberUsed
from remote_agent.journal.settled import LOGS
from remote_agent.shim.launcher_client import LauncherClient, tell
from remote_agent.shim.layout import EXIT, ORDER, SETTLED, STARTED
from remote_protocol import cri
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Offer, Phase
from remote_protocol.states import EndReason
from tests.agent.conftest import Offers
from tests.agent.journal.conftest import HOST, with_files
from tests.support.shim_harness import eventually, read_log, running


@pytest.fixture
def shims(config: Config, journal: Journal) -> Iterator[LauncherClient]:
    shims = LauncherClient(config.state_dir / "shim.log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as endpoint:
        endpoint.bind(str(config.state_dir / "agent.sock"))
        shims.start(2)
        launcher = shims.pid
        yield shims
        shims.close()
        eventually(lambda: not running(launcher or 0), what="for the launcher to end")


def key_of(offer: Offer) -> AttemptId:
    return offer.attempt


def look(journal: Journal, offer: Offer) -> AttemptRecord:
    record = journal.look(key_of(offer))
    assert record is not None
    return record


def run(journal: Journal, shims: LauncherClient, offer: Offer) -> AttemptRecord:
    """Store an offer and let a shim run it to its end."""
    journal.store(offer)
    shims.request(journal.path(key_of(offer)))
    return eventually(lambda: (r := look(journal, offer)).phase is Phase.ENDED and r)


def test_the_life_of_an_attempt(journal: Journal, shims: LauncherClient, offers: Offers) -> None:
    offer = offers(["sh", "-c", 'echo up; read x < "$REMOTE_WORK_DIR/go"; pwd; exit 3'])
    assert look_none(journal, offer)
    journal.store(offer)
    record = look(journal, offer)
    assert (record.offer, record.phase, record.size) == (offer, Phase.ACCEPTED, 0)
    directory = journal.path(key_of(offer))
    os.mkfifo(directory / "work" / "go")
    shims.request(directory)
    record = eventually(lambda: (r := look(journal, offer)).size and r.started and r)
    assert record.phase is Phase.RUNNING and record.started.pid > 0
    assert journal.scan() == [record]
    (directory / "work" / "go").write_bytes(b"\n")
    record = eventually(lambda: (r := look(journal, offer)).phase is Phase.ENDED and r)
    assert record.ended.exit_code == 3 and record.ended.end_reason is EndReason.EXIT
    log = read_log(directory)
    assert cri.decode(log).decode() == f"up\n{directory}/work\n"
    assert (
        (record.ended.size, record.ended.checksum)
        == (len(log), crc32(log))
        == (
            record.size,
            crc32(log),
        )
    )
    journal.settle(key_of(offer))
    journal.settle(key_of(offer))
    assert look_none(journal, offer) and journal.scan() == []
    assert sorted(os.listdir(directory)) == ["artifacts", EXIT, "output.log", SETTLED]
    (kept,) = journal.kept()
    assert kept.key == key_of(offer) and kept.size == len(log) and kept.settled_at > 1.7e9
    journal.remove(kept.key)
    assert list(journal.kept()) == [] and journal.purge(10) == 2
    assert sorted(os.listdir(directory.parent)) == [LOGS, ".trash"] and journal.purge(10) == 0


def look_none(journal: Journal, offer: Offer) -> bool:
    return journal.look(key_of(offer)) is None


def test_scripts_files_and_environment_reach_the_job(
    journal: Journal, shims: LauncherClient, offers: Offers
) -> None:
    offer = offers(
        script='cat data; echo "$REMOTE_AGENT $REMOTE_QUEUE $X"; ls -d "$REMOTE_ARTIFACTS"; env\n',
        shell="sh",
        env={"X": "y z"},
        files=[{"path": "data", "content": "aGkK"}],
    )
    record = run(journal, shims, offer)
    assert record.ended is not None and record.ended.exit_code == 0
    lines = cri.decode(read_log(journal.path(key_of(offer)))).decode().splitlines()
    assert lines[:3] == ["hi", "host-1 default y z", f"{journal.path(key_of(offer))}/artifacts"]
    assert not any(line.startswith("REMOTE_AGENT_") for line in lines)


def test_nothing_stays_of_a_settled_attempt_without_a_log(
    journal: Journal, shims: LauncherClient, offers: Offers
) -> None:
    offer = offers(["true"])
    run(journal, shims, offer)
    journal.settle(key_of(offer))
    assert not journal.path(key_of(offer)).exists() and list(journal.kept()) == []


def test_a_number_that_has_run_is_refused(
    journal: Journal, shims: LauncherClient, offers: Offers
) -> None:
    offer = offers(["echo", "first"])
    run(journal, shims, offer)
    with pytest.raises(FileExistsError):
        journal.store(offer)
    log = read_log(journal.path(key_of(offer)))
    journal.settle(key_of(offer))
    kept = left_log(journal, offer)
    # A server with an older database gives the number again: what has run is not discarded.
    with pytest.raises(NumberUsed, match="has run on this host"):
        journal.store(offer)
    assert kept.read_bytes() == log and not journal.path(key_of(offer)).exists()


def left_log(journal: Journal, offer: Offer) -> Path:
    """The log of a settled attempt whose directory was used again."""
    return journal.path(key_of(offer)).parent / LOGS / str(key_of(offer))


def test_a_settled_log_is_kept_without_its_directory(
    journal: Journal, shims: LauncherClient, offers: Offers
) -> None:
    offer = offers(["echo", "kept"])
    run(journal, shims, offer)
    key, log = key_of(offer), read_log(journal.path(key_of(offer)))
    journal.settle(key)
    journal.settle(key)
    (kept,) = journal.kept()
    assert kept.key == key and kept.size >= len(log) and kept.settled_at > 1.7e9
    assert journal.scan() == [] and left_log(journal, offer).read_bytes() == log
    again = offers(["true"])
    journal.store(again)
    assert sorted(os.listdir(journal.path(key_of(again)))) == sorted(
        [ORDER, *(f"{name}.tmp" for name in (STARTED, EXIT)), "artifacts", "tmp", "work"]
    ), "its directory is the next attempt's"
    journal.remove(key)
    assert list(journal.kept()) == [] and journal.purge(10) == 1


def test_the_number_of_an_attempt_that_never_ran_may_come_again(
    journal: Journal, offers: Offers
) -> None:
    offer = offers(["true"])
    for _ in range(2):
        journal.store(offer)
        journal.settle(key_of(offer))
    journal.path(key_of(offer)).mkdir()
    (journal.path(key_of(offer)) / SETTLED).touch()
    journal.store(offer)
    assert look(journal, offer).phase is Phase.ACCEPTED


def test_a_dead_shim_is_reported_and_its_leftovers_are_killed(
    journal: Journal, shims: LauncherClient, offers: Offers
) -> None:
    offer = offers(["sh", "-c", "setsid sleep 60 & echo out; sleep 60"])
    journal.store(offer)
    directory = journal.path(key_of(offer))
    shims.request(directory)
    record = eventually(lambda: (r := look(journal, offer)).size and r.started and r)
    started = record.started
    # The launcher first, so that nobody guards; then the shim.
    launcher = shims.pid or 0
    os.kill(launcher, signal.SIGKILL)
    eventually(lambda: not running(launcher))
    os.kill(started.shim_pid, signal.SIGKILL)
    eventually(lambda: not running(started.shim_pid))
    assert running(started.pid), "that is what this test is about"
    (record,) = journal.scan()
    ended = record.ended
    assert ended is not None and (ended.exit_code, ended.end_reason) == (None, EndReason.LOST)
    assert ended.end_detail == "the shim died; 3 processes of the job were killed"
    eventually(lambda: not running(started.pid))
    log = read_log(directory)
    assert (ended.size, ended.checksum) == (len(log), crc32(log)) and cri.decode(log) == b"out\n"
    assert ended.started_at == started.at
    # It is said once and for all: a later look finds the same record.
    assert look(journal, offer).ended == ended


def test_a_host_that_restarted(
    config: Config, journal: Journal, offers: Offers, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted, begun = offers(), offers()
    for offer in (accepted, begun):
        journal.store(offer)
    (journal.path(key_of(begun)) / STARTED).touch()
    assert {r.phase for r in journal.scan()} == {Phase.ACCEPTED, Phase.ENDED}
    (journal.path(key_of(begun)) / EXIT).unlink()
    monkeypatch.setattr("remote_agent.journal.journal.boot_id", lambda: "another")
    records = Journal(config, HOST).scan()
    # What was accepted may have begun: the marker is not forced to the disk (I1).
    assert [r.ended.end_detail for r in records if r.ended] == ["the host restarted"] * 2
    for record in records:
        assert (journal.path(record.key) / STARTED).exists(), "so that no shim starts it any more"


def store(journal: Journal, offer: Offer) -> None:
    """Store an offer and accept it."""
    journal.store(offer)
    assert key_of(offer) in journal.unaccepted
    journal.accept([key_of(offer)])
    journal.force()
    assert not journal.unaccepted


def durable(config: Config) -> Config:
    agent = config.agent.model_copy(update={"durability": "full"})
    return config.model_copy(update={"agent": agent})


@pytest.mark.parametrize("left", ["nothing", "no order", "a former order", "half an order"])
def test_what_was_accepted_is_lost_with_its_host_whatever_of_it_came_to_the_disk(
    config: Config, offers: Offers, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    config = durable(config)
    offer, settled, never = offers(), offers(), offers()
    journal = Journal(config, HOST)
    for one in (offer, settled):
        store(journal, one)
    journal.settle(key_of(settled))
    journal.store(never)
    for one in (offer, never):
        directory = journal.path(key_of(one))
        order = directory / ORDER
        if left == "nothing":
            shutil.rmtree(directory)
        elif left == "no order":
            order.unlink()
        elif left == "a former order":
            order.write_text(order.read_text().replace(str(key_of(one)), f"{offers().attempt}"))
        else:
            os.truncate(order, 100)
    monkeypatch.setattr("remote_agent.journal.journal.boot_id", lambda: "another")
    for _ in range(2):
        # The server may not have heard of it when this agent dies, too.
        later = Journal(config, HOST)
        found = {record.key: record.ended for record in later.scan()}
        ended = found.pop(key_of(offer))
        assert ended is not None and ended.end_reason is EndReason.LOST
        assert (ended.end_detail, ended.size) == ("the host restarted", 0)
        # The server never heard of the other one: it says so, and that is all.
        assert {key for key in found if key != key_of(never)} == set()
    later.settle(key_of(offer))
    assert key_of(offer) not in {record.key for record in Journal(config, HOST).scan()}
    later.store(offer)
    assert look(later, offer).phase is Phase.ACCEPTED, "it has never run"


def test_an_end_that_is_on_the_disk_counts_after_a_restart_of_the_host(
    config: Config, shims: LauncherClient, offers: Offers, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = durable(config)
    journal, offer = Journal(config, HOST), offers(["sh", "-c", "echo x; exit 3"])
    store(journal, offer)
    shims.request(journal.path(key_of(offer)))
    ended = eventually(lambda: look(journal, offer).ended)
    monkeypatch.setattr("remote_agent.journal.journal.boot_id", lambda: "another")
    later = Journal(config, HOST)
    (record,) = later.scan()
    assert record.ended == ended and ended.exit_code == 3
    later.settle(record.key)
    assert Journal(config, HOST).scan() == []


def test_an_agent_that_was_killed_finds_what_it_accepted_and_nothing_that_it_had_settled(
    config: Config, offers: Offers
) -> None:
    config = durable(config)
    journal, held, gone = Journal(config, HOST), offers(), offers()
    for offer in (held, gone):
        store(journal, offer)
    # Killed in the middle of settling it.
    shutil.rmtree(journal.path(key_of(gone)))
    later = Journal(config, HOST)
    assert [(record.key, record.phase) for record in later.scan()] == [
        (key_of(held), Phase.ACCEPTED)
    ]
    assert later.unaccepted == {key_of(held)}, "the former one may not have forced it"
    assert str(key_of(gone)) not in (config.state_dir / "accepted").read_text()


def test_an_end_whose_log_the_power_loss_took_is_lost(
    config: Config,
    journal: Journal,
    shims: LauncherClient,
    offers: Offers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offer = offers(["echo", "hello"])
    record = run(journal, shims, offer)
    assert record.ended is not None and record.ended.end_reason is EndReason.EXIT
    monkeypatch.setattr("remote_agent.journal.journal.boot_id", lambda: "another")
    later = Journal(config, HOST)
    assert look(later, offer).ended == record.ended
    os.truncate(journal.path(key_of(offer)) / "output.log", 10)
    ended = look(later, offer).ended
    assert ended is not None and (ended.end_reason, ended.size) == (EndReason.LOST, 10)


def test_an_unreadable_exit_record_is_none(journal: Journal, offers: Offers) -> None:
    offer = offers()
    journal.store(offer)
    directory = journal.path(key_of(offer))
    (directory / STARTED).touch()
    for rest in (b"", b'{"exit_code":0}', b'{"exit_code":"x","end_reason":"?"}'):
        (directory / EXIT).write_bytes(rest)
        ended = look(journal, offer).ended
        assert ended is not None and ended.end_reason is EndReason.LOST
        assert json.loads((directory / EXIT).read_bytes())["end_reason"] == "lost"


def test_rubbish_is_moved_aside_and_the_rest_is_found(
    journal: Journal, config: Config, offers: Offers
) -> None:
    good = offers()
    journal.store(good)
    root = config.state_dir / "attempts"
    broken = root / f"{offers().attempt.job}.1"
    broken.mkdir()
    (broken / ORDER).write_bytes(b"\0\0\n\0")
    (root / f"{offers().attempt.job}.2").mkdir()
    (root / f"{offers().attempt.job}.3").write_text("a file")
    (root / "lost+found").mkdir()
    (root / "notes.txt").write_text("x")
    (root / f".new.{offers().attempt.job}.1").mkdir()
    found = {record.key: record for record in journal.scan()}
    assert len(found) == 4, "attempts whose directories are damaged are lost, and said to be"
    assert found.pop(key_of(good)).phase is Phase.ACCEPTED
    for record in found.values():
        assert record.ended is not None and record.ended.end_reason is EndReason.LOST
        assert "damaged" in record.ended.end_detail
    assert sorted(os.listdir(root)) == [".broken", LOGS, ".trash", str(key_of(good))]
    assert len(os.listdir(root / ".broken")) == 5
    assert [record.key for record in journal.scan()] == [key_of(good)]


@pytest.mark.parametrize("name", [STARTED, EXIT, SETTLED])
def test_a_job_that_damages_its_attempt_is_named_and_settled(
    journal: Journal,
    shims: LauncherClient,
    offers: Offers,
    name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    offer = offers(["echo", "x"])
    run(journal, shims, offer)
    directory = journal.path(key_of(offer))
    (directory / name).unlink(missing_ok=True)
    (directory / name / "x").mkdir(parents=True)
    journal.settle(key_of(offer))
    assert [kept.key for kept in journal.kept()] == [key_of(offer)]
    assert journal.look(key_of(offer)) is None, "it is settled"
    said = capsys.readouterr().out
    assert "a job has damaged its attempt" in said and name in said


@pytest.mark.parametrize("has_log", [True, False])
def test_what_took_the_place_of_its_directory_meanwhile_is_left_alone(
    journal: Journal,
    shims: LauncherClient,
    offers: Offers,
    monkeypatch: pytest.MonkeyPatch,
    has_log: bool,
) -> None:
    """A process of the agent's user moves the directory while it is being settled."""
    offer = offers(["sh", "-c", "mkdir kept; echo x" if has_log else "mkdir kept"])
    run(journal, shims, offer)
    key = key_of(offer)
    directory = journal.path(key)
    real, moved, elsewhere = journal.users.release, directory.with_name("moved"), directory

    def swap(key: AttemptId) -> None:
        elsewhere.rename(moved)
        elsewhere.mkdir()
        for name in (ORDER, STARTED, EXIT, "output.log"):
            (elsewhere / name).write_text("of somebody else")
        real(key)

    monkeypatch.setattr(journal.users, "release", swap)
    journal.settle(key)
    names = sorted(os.listdir(elsewhere))
    assert names == sorted((ORDER, STARTED, EXIT, "output.log"))
    assert {(elsewhere / name).read_text() for name in names} == {"of somebody else"}
    # What was opened is what was settled.
    assert (moved / SETTLED).exists() == has_log


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_link_or_a_file_in_its_place_goes_and_nothing_beyond_it(
    journal: Journal, shims: LauncherClient, offers: Offers, tmp_path: Path, kind: str
) -> None:
    offer = offers(["echo", "x"])
    run(journal, shims, offer)
    directory, beyond = journal.path(key_of(offer)), tmp_path / "beyond"
    beyond.mkdir()
    for name in (ORDER, "output.log"):
        (beyond / name).write_text("not ours")
    directory.rename(tmp_path / "moved")
    if kind == "link":
        directory.symlink_to(beyond)
    else:
        directory.write_text("x")
    journal.settle(key_of(offer))
    assert not os.path.lexists(directory)
    journal.purge(10)
    assert sorted(os.listdir(beyond)) == sorted((ORDER, "output.log"))


def test_an_undamaged_attempt_is_not_named(
    journal: Journal, shims: LauncherClient, offers: Offers, capsys: pytest.CaptureFixture[str]
) -> None:
    offer = offers(["echo", "x"])
    run(journal, shims, offer)
    journal.settle(key_of(offer))
    assert "damaged" not in capsys.readouterr().out


def test_one_odd_directory_hides_no_settled_log(
    journal: Journal, shims: LauncherClient, offers: Offers, config: Config
) -> None:
    # Their directories cannot be used again.
    odd, good = (offers(["sh", "-c", "mkdir kept; echo x"]) for _ in range(2))
    for offer in (odd, good):
        run(journal, shims, offer)
        journal.settle(key_of(offer))
    journal.purge(10)
    shutil.rmtree(journal.path(key_of(odd)))
    journal.path(key_of(odd)).symlink_to("/etc")
    assert [kept.key for kept in journal.kept()] == [key_of(good)]
    journal.remove(key_of(odd))
    assert journal.purge(10) == 1 and Path("/etc/passwd").exists()


def test_a_probe_says_whether_the_disk_takes_attempts(journal: Journal, config: Config) -> None:
    journal.probe()
    root = config.state_dir / "attempts"
    before = os.listdir(root)
    root.rename(root.with_name("moved"))
    with pytest.raises(OSError):
        journal.probe()
    root.with_name("moved").rename(root)
    journal.probe()
    assert os.listdir(root) == before


def test_a_probe_asks_the_disk_to_keep_an_acceptance(
    config: Config, offers: Offers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    journal, held = Journal(durable(config), HOST), offers()
    store(journal, held)
    accepted = config.state_dir / "accepted"
    before = accepted.read_text()
    journal.probe()
    assert accepted.read_text() == before
    monkeypatch.setattr("remote_agent.journal.acceptances.sync_data", broken)
    with pytest.raises(OSError, match="Input/output"):
        journal.probe()


def test_a_job_whose_files_are_in_each_others_way_has_ended(
    journal: Journal, shims: LauncherClient, offers: Offers
) -> None:
    offer = with_files(offers(), "a", "a/b")
    journal.store(offer)
    record = look(journal, offer)
    assert record.ended is not None and record.ended.end_reason is EndReason.SPAWN_ERROR
    assert "in the way" in record.ended.end_detail
    shims.request(journal.path(key_of(offer)))
    assert not tell(journal.path(key_of(offer)), {"do": "kill"})
    assert look(journal, offer).ended == record.ended


def test_a_full_disk_refuses_an_offer_and_keeps_no_half(tmp_path: Path, offers: Offers) -> None:
    if os.geteuid():
        pytest.skip("mounting a small tmpfs takes root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], check=True)
    try:
        config = Config.model_validate({"state_dir": disk / "state"})
        journal = Journal(config, HOST)
        small = offers()
        journal.store(small)
        (disk / "ballast").write_bytes(b"x" * (os.statvfs(disk).f_bavail * 4096 - 4096))
        before = sorted(str(path) for path in disk.rglob("*"))
        for _ in range(3):
            with pytest.raises(OSError, match="No space left"):
                journal.store(offers(env={"X": "y" * 100_000}))
        assert sorted(str(path) for path in disk.rglob("*")) == before
        assert [record.key for record in journal.scan()] == [key_of(small)]
        (disk / "ballast").unlink()
        journal.store(offers(env={"X": "y" * 30_000}))
        # A dead attempt is told of on a full disk too, though it cannot be written down.
        (disk / "ballast").write_bytes(b"x" * (os.statvfs(disk).f_bavail * 4096))
        (journal.path(key_of(small)) / STARTED).touch()
        ended = look(journal, small).ended
        assert ended is not None and ended.end_reason is EndReason.LOST
    finally:
        subprocess.run(["umount", disk], check=True)


def test_work_directories_elsewhere(
    config: Config, shims: LauncherClient, offers: Offers, tmp_path: Path
) -> None:
    agent = config.agent.model_copy(update={"work_dir": tmp_path / "scratch"})
    journal = Journal(config.model_copy(update={"agent": agent}), HOST)
    offer = offers(["sh", "-c", "echo x > made; pwd"])
    run(journal, shims, offer)
    work = tmp_path / "scratch" / str(key_of(offer))
    assert (work / "made").exists()
    assert cri.decode(read_log(journal.path(key_of(offer)))).decode() == f"{work}\n"
    journal.settle(key_of(offer))
    assert not work.exists() and journal.purge(10) == 1
    assert os.listdir(tmp_path / "scratch" / ".trash") == []


def test_adjusting(journal: Journal, config: Config, offers: Offers) -> None:
    logs = config.logs.model_copy(update={"segments": 3, "segment_size": 100_000})
    journal.adjust(config.model_copy(update={"logs": logs}))
    offer = offers()
    journal.store(offer)
    order = json.loads((journal.path(key_of(offer)) / ORDER).read_bytes().splitlines()[0])
    assert (order["segments"], order["segment_size"]) == (6, 100_000)


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_an_end_is_forced_to_the_disk_where_that_is_wished(
    config: Config, offers: Offers, monkeypatch, durability: str
) -> None:
    part = config.agent.model_copy(update={"durability": durability})
    journal = Journal(config.model_copy(update={"agent": part}), HOST)
    offer = offers(["true"])
    journal.store(offer)
    directory = journal.path(key_of(offer))
    forced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: forced.append(os.readlink(f"/proc/self/fd/{fd}")))
    journal.sync(key_of(offer))
    (directory / "output.log").touch()
    (directory / EXIT).touch()
    journal.sync(key_of(offer))
    order, root = directory / ORDER, directory.parent
    whole = [order, directory, root, order, directory / "output.log", directory / EXIT]
    whole += [directory, root]
    assert forced == ([str(path) for path in whole] if durability == "full" else [])
    journal.remove(key_of(offer))
    journal.sync(key_of(offer))
