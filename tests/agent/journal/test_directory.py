"""An attempt's directory: written whole or not at all, read with suspicion."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from remote_agent.config import Config
from remote_agent.journal import directory as module
from remote_agent.journal.directory import (
    BadFile,
    BrokenDirectory,
    DirectoryContents,
    write_directory,
)
from remote_agent.journal.spares import make_empty
from remote_agent.planning import kinds
from remote_agent.planning.paths import FOLDERS, JobPaths
from remote_agent.shim.layout import EXIT, MASK_FILE, ORDER, STARTED
from remote_agent.shim.order import Order, parse
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Offer
from remote_protocol.spec import JobFile
from tests.agent.conftest import Offers
from tests.agent.journal.conftest import with_files


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "attempts").mkdir()
    return tmp_path / "attempts" / "J.1"


def read(place: Path) -> DirectoryContents:
    reading = module.read_directory(place)
    assert reading is not None
    return reading


def write(place: Path, offer: Offer, work: Path | None = None) -> Order:
    order = Order("J.1", ["true"], {"A": "b"}, "/")
    inside = work is None or work.parent == place
    paths = JobPaths(str(place), str(work or place / "work"), inside=inside)
    files = kinds.plan(offer.spec, paths, Config(state_dir=place)).files
    write_directory(str(place), order._asdict(), offer, "boot-1", paths, files)
    return order


def test_what_is_written_is_read(place: Path, offers: Offers) -> None:
    offer = offers(script="echo hi\n", shell="bash")
    order = write(place, offer)
    reading = read(place)
    assert (reading.offer, reading.boot_id) == (offer, "boot-1")
    assert (reading.begun, reading.kept, reading.started, reading.exit) == (
        False,
        False,
        None,
        None,
    )
    assert parse((place / ORDER).read_bytes().splitlines()[0]) == order
    assert (place / "script").read_text() == "echo hi\n"
    assert sorted(os.listdir(place)) == ["artifacts", ORDER, "script", "tmp", "work"]
    assert [path.stat().st_mode & 0o77 for path in (place, place / "work", place / ORDER)] == [
        0
    ] * 3
    assert os.listdir(place.parent) == ["J.1"]


def test_files_of_the_job(place: Path, offers: Offers, tmp_path: Path) -> None:
    files = [
        {"path": "a.txt", "content": encoded(b"\0\xff")},
        {"path": "deep/er/run.sh", "content": encoded(b"#!"), "mode": 0o755},
        {"path": "empty", "content": ""},
    ]
    for work in (place / "work", tmp_path / "elsewhere" / "J.1"):
        write(place, offers(files=files), work)
        assert (work / "a.txt").read_bytes() == b"\0\xff"
        assert (work / "deep" / "er" / "run.sh").stat().st_mode & 0o777 == 0o755
        assert (work / "empty").read_bytes() == b""
        shutil.rmtree(place)


def test_a_mask_file_is_its_jobs_alone(place: Path, offers: Offers, tmp_path: Path) -> None:
    paths = JobPaths(str(place), str(place / "work"))
    order = Order("J.1", ["true"], {}, "/", mask_file=str(place / MASK_FILE))
    write_directory(str(place), order._asdict(), offers(), "boot-1", paths)
    mode = (place / MASK_FILE).stat().st_mode
    assert stat.S_ISFIFO(mode) and stat.S_IMODE(mode) == 0o600
    home = tmp_path / "jobs" / "J.2"
    home.parent.mkdir()
    apart = JobPaths(str(home), str(home / "work"), apart=True)
    other = place.with_name("J.2")
    write_directory(str(other), order._asdict(), offers(), "boot-1", apart)
    assert (home / MASK_FILE).is_fifo() and not (other / MASK_FILE).exists()


def test_files_in_each_others_way(place: Path, offers: Offers) -> None:
    with pytest.raises(BadFile, match=r"'a/b' cannot be put .* in the way"):
        write(place, with_files(offers(), "a", "a/b"))
    assert os.listdir(place.parent) == []


def test_a_failure_leaves_nothing(
    place: Path, offers: Offers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "rename", full)
    with pytest.raises(OSError, match="No space"):
        write(place, offers())
    assert os.listdir(place.parent) == []


@pytest.mark.parametrize("script", [None, "echo hi\n"])
def test_nothing_is_forced_to_the_disk(
    place: Path, offers: Offers, monkeypatch, script: str | None
) -> None:
    spare = place.with_name(".spare.0")
    make_empty(spare, FOLDERS)
    (spare / ORDER).touch()
    offer = offers(["true"]) if script is None else offers(script=script, shell="bash")
    order = Order("J.1", ["true"], {}, "/", sync=True)
    paths = JobPaths(str(place), str(place / "work"))
    files = kinds.plan(offer.spec, paths, Config(state_dir=place)).files

    def forced(descriptor: int) -> None:
        raise AssertionError("an attempt does not outlive its host")

    monkeypatch.setattr(os, "fsync", forced)
    monkeypatch.setattr(os, "fdatasync", forced)
    write_directory(str(place), order._asdict(), offer, "boot-1", paths, files, str(spare))
    assert read(place).offer == offer


def test_the_order_of_the_attempt_that_had_the_directory_before_counts_for_nothing(
    place: Path, offers: Offers
) -> None:
    """The host lost power when its new name was on the disk, and its new order was not."""
    write(place, offers())
    other = place.with_name("J.2")
    place.rename(other)
    with pytest.raises(BrokenDirectory, match="is that of another attempt"):
        module.read_directory(other)


def test_records_of_the_attempt_that_had_the_directory_before_count_for_nothing(
    place: Path, offers: Offers
) -> None:
    write(place, offers())
    started = {"pid": 2, "start_time": "1", "shim_pid": 3, "boot_id": "b", "at": 1.0}
    (place / STARTED).write_text(json.dumps({"key": "J.0", **started}))
    (place / EXIT).write_text(json.dumps({"key": "J.0", "exit_code": 0}))
    reading = read(place)
    assert reading.begun and not reading.kept
    assert (reading.started, reading.exit, reading.damage) == (None, None, "")
    (place / STARTED).write_text(json.dumps({"key": "J.1", **started}))
    # An older shim does not say it.
    (place / EXIT).write_text(json.dumps({"exit_code": 0}))
    reading = read(place)
    assert reading.started is not None and reading.started.pid == 2
    assert reading.exit == {"exit_code": 0}


def test_what_a_crash_left_half_is_written_over(place: Path, offers: Offers) -> None:
    half = place.with_name(".new.J.1")
    (half / "work").mkdir(parents=True)
    write(place, offers())
    assert read(place).boot_id == "boot-1" and not half.exists()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"{}\n", b"{}\n{}\n", b'{}\n{"boot_id":"b","offer":{}}\n', b"\0" * 99]
)
def test_damage_is_named(place: Path, offers: Offers, content: bytes) -> None:
    write(place, offers())
    (place / ORDER).write_bytes(content)
    with pytest.raises(BrokenDirectory, match="damaged"):
        read(place)
    (place / ORDER).unlink()
    with pytest.raises(BrokenDirectory, match="there is no"):
        read(place)


def test_a_living_shim_is_seen_by_its_lock(place: Path, offers: Offers) -> None:
    write(place, offers())
    shim = os.open(place, os.O_RDONLY)
    fcntl.flock(shim, fcntl.LOCK_EX)
    assert not read(place).kept, "one that has not begun is not looked at"
    (place / STARTED).write_bytes(b"")
    assert read(place).kept
    os.close(shim)
    reading = read(place)
    assert reading.begun and not reading.kept and reading.started is None
    again = os.open(place, os.O_RDONLY)
    fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(again)


def test_what_the_shim_noted(place: Path, offers: Offers) -> None:
    write(place, offers())
    note: dict[str, Any] = {
        "v": 1,
        "pid": 5,
        "start_time": "7",
        "shim_pid": 4,
        "shim_start_time": "6",
        "pgid": 5,
        "boot_id": "b",
        "at": 1.5,
        "later": "field",
    }
    (place / STARTED).write_text(json.dumps(note))
    started = read(place).started
    assert started is not None
    assert (started.pid, started.at, started.boot_id, started.cgroup) == (5, 1.5, "b", None)
    (place / STARTED).write_text(json.dumps({**note, "pid": None}))
    assert read(place).started is None


def test_an_exit_record_becomes_a_message(offers: Offers) -> None:
    key = AttemptId(offers().attempt.job, 2)
    body: dict[str, Any] = {
        "v": 1,
        "exit_code": 3,
        "end_reason": "exit",
        "end_detail": "x" * 9000,
        "size": 10,
        "checksum": 11,
        "usage": {"cpu_user": 0.5, "new": 1},
        "ended_at": 2.0,
        "steps": [{"at": 1.0, "what": "spawned"}] * 300,
    }
    ended = module.ended_from(key, body)
    assert (ended.attempt, ended.exit_code) == (key, 3)
    assert len(ended.end_detail) == 2000 and len(ended.steps) == 200
    assert (ended.outputs, ended.outputs_warning, ended.artifacts) == (None, None, None)
    with pytest.raises(ValueError):
        module.ended_from(key, {**body, "checksum": -1})


def test_outputs_in_an_exit_record(offers: Offers) -> None:
    key = offers().attempt
    body = {"end_reason": "exit", "size": 0, "checksum": 0, "ended_at": 2.0}
    ended = module.ended_from(key, {**body, "outputs": {"a": "1"}, "outputs_warning": "w" * 9000})
    assert ended.outputs == {"a": "1"} and len(ended.outputs_warning or "") == 2000
    for odd in ({"a": "\0"}, {"a b": "1"}, {"a": 1}, ["a"], {f"k{n}": "" for n in range(65)}):
        ended = module.ended_from(key, {**body, "outputs": odd})
        assert not ended.outputs and "the outputs were left out" in (ended.outputs_warning or "")
    with pytest.raises(ValueError):
        module.ended_from(key, {**body, "size": -1, "outputs": {"a": "1"}})


@pytest.mark.parametrize("kind", ["directory", "fifo", "link", "huge"])
@pytest.mark.parametrize("name", [EXIT, STARTED])
def test_what_stands_in_the_place_of_a_record_is_named(
    place: Path, offers: Offers, name: str, kind: str
) -> None:
    write(place, offers())
    (place / STARTED).touch()
    (place / name).unlink(missing_ok=True)
    if kind == "directory":
        (place / name).mkdir()
    elif kind == "fifo":
        os.mkfifo(place / name)
    elif kind == "link":
        (place / name).symlink_to("/dev/zero")
    else:
        with (place / name).open("wb") as file:
            file.truncate(10 << 30)
    reading = read(place)
    assert reading.begun and reading.exit is None and reading.started is None
    assert reading.damage.startswith(f"{name}: it is ")


@pytest.mark.parametrize("name", [".", ORDER])
def test_no_order_no_attempt(place: Path, offers: Offers, name: str) -> None:
    write(place, offers())
    target = place / name
    shutil.rmtree(target) if name == "." else target.unlink()
    target.symlink_to("/etc")
    with pytest.raises(BrokenDirectory, match="cannot be opened"):
        module.read_directory(place)


def test_records_that_a_job_has_written_signal_nobody(place: Path, offers: Offers) -> None:
    write(place, offers())
    good = {"pid": 7, "start_time": "1", "shim_pid": 8, "shim_start_time": "1", "boot_id": "b"}
    for more in ({"pid": 1}, {"pid": -1}, {"shim_pid": 10**400}, {"at": -5}, {"cgroup": 5}):
        (place / STARTED).write_text(json.dumps({**good, "at": 5.0, **more}))
        assert read(place).started is None
    (place / STARTED).write_text("[" * 500_000)
    assert read(place).started is None
    ended = {"end_reason": "exit", "size": 0, "checksum": 0, "ended_at": 1, "steps": 7}
    assert module.ended_from(AttemptId(offers().attempt.job, 1), ended).steps == []


def test_a_name_that_no_disk_takes_is_the_jobs_fault(place: Path, offers: Offers) -> None:
    # The protocol lets none through; a disk may allow less than it does.
    file = JobFile.model_construct(path="語" * 90 + "/x", content="", mode=0o600)
    offer = offers()
    spec = offer.spec.model_copy(update={"files": [file]})
    with pytest.raises(BadFile, match="255 bytes"):
        write(place, offer.model_copy(update={"spec": spec}))
    assert os.listdir(place.parent) == []
