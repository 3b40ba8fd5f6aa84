"""An attempt's directory: written whole or not at all, read with suspicion."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from remote_agent.journal import directory as room
from remote_agent.journal.directory import BadFile, BrokenDirectory, read_directory, write_directory
from remote_agent.session.events import Key
from remote_agent.shim.layout import EXIT, ORDER, STARTED
from remote_agent.shim.order import Order, parse
from remote_protocol.messages import Offer
from tests.agent.journal.conftest import Offers, with_files


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "attempts").mkdir()
    return tmp_path / "attempts" / "J.1"


def write(place: Path, offer: Offer, work: Path | None = None, sync: bool = True) -> Order:
    order = Order("J.1", ["true"], {"A": "b"}, "/", sync=sync)
    write_directory(place, order, offer, "boot-1", work or place / "work")
    return order


@pytest.mark.parametrize("sync", [False, True])
def test_what_is_written_is_read(place: Path, offers: Offers, sync: bool) -> None:
    offer = offers(script="echo hi\n", shell="bash")
    order = write(place, offer, sync=sync)
    reading = read_directory(place)
    assert (reading.offer, reading.boot_id) == (offer, "boot-1")
    assert (reading.begun, reading.kept, reading.started, reading.exit) == (
        False,
        False,
        None,
        None,
    )
    assert parse((place / ORDER).read_bytes().splitlines()[0]) == order
    assert (place / "script").read_text() == "echo hi\n"
    assert sorted(os.listdir(place)) == ["artifacts", ORDER, "script", "work"]
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


def test_files_in_each_others_way(place: Path, offers: Offers) -> None:
    with pytest.raises(BadFile, match=r"'a/b' cannot be put .* in the way"):
        write(place, with_files(offers(), "a", "a/b"))
    assert os.listdir(place.parent) == []


def test_a_failure_leaves_nothing(
    place: Path, offers: Offers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(place, offers())
    assert os.listdir(place.parent) == []


def test_what_a_crash_left_half_is_written_over(place: Path, offers: Offers) -> None:
    half = place.with_name(".new.J.1")
    (half / "work").mkdir(parents=True)
    write(place, offers())
    assert read_directory(place).boot_id == "boot-1" and not half.exists()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"{}\n", b"{}\n{}\n", b'{}\n{"boot_id":"b","offer":{}}\n', b"\0" * 99]
)
def test_damage_is_named(place: Path, offers: Offers, content: bytes) -> None:
    write(place, offers())
    (place / ORDER).write_bytes(content)
    with pytest.raises(BrokenDirectory, match="damaged"):
        read_directory(place)
    (place / ORDER).unlink()
    with pytest.raises(BrokenDirectory, match="there is no"):
        read_directory(place)


def test_a_living_shim_is_seen_by_its_lock(place: Path, offers: Offers) -> None:
    write(place, offers())
    shim = os.open(place, os.O_RDONLY)
    fcntl.flock(shim, fcntl.LOCK_EX)
    assert not read_directory(place).kept, "one that has not begun is not looked at"
    (place / STARTED).write_bytes(b"")
    assert read_directory(place).kept
    os.close(shim)
    reading = read_directory(place)
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
    started = read_directory(place).started
    assert started is not None
    assert (started.pid, started.at, started.boot_id, started.cgroup) == (5, 1.5, "b", None)
    (place / STARTED).write_text(json.dumps({**note, "pid": None}))
    assert read_directory(place).started is None


def test_an_exit_record_becomes_a_message(offers: Offers) -> None:
    key = Key(offers().job, 2)
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
    ended = room.ended_from(key, body)
    assert (ended.job, ended.attempt, ended.exit_code) == (*key, 3)
    assert len(ended.end_detail) == 2000 and len(ended.steps) == 200
    with pytest.raises(ValueError):
        room.ended_from(key, {**body, "checksum": -1})


def test_discard_is_at_once_and_repeatable(tmp_path: Path) -> None:
    trash = tmp_path / ".trash"
    for _ in range(3):
        (tmp_path / "x" / EXIT).mkdir(parents=True)
        room.discard(tmp_path / "x", trash)
        assert not (tmp_path / "x").exists()
    room.discard(tmp_path / "x", trash)
    assert sorted(os.listdir(trash)) == ["x.0", "x.1", "x.2"]
