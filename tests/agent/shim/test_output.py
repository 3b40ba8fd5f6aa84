"""The writing side of the spool: records, segments, checksums, and disks without room."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

from remote_agent.processes import Folder
from remote_agent.shim.filters import Filters
from remote_agent.shim.order import Order
from remote_agent.shim.output import PIECE, Output
from remote_agent.spool import CHECKSUMS, LIVE, SpoolReader, closed_name, closed_start
from remote_protocol import cri
from tests.support.shim_harness import ShimHarness, eventually, in_pipe, read_log, state, tell


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Folder]:
    with Folder(tmp_path) as folder:
        yield folder


def order(**fields: object) -> Order:
    return Order(**{"key": "J.1", "argv": ["x"], "env": {}, "cwd": "/", **fields})  # type: ignore[arg-type]


def test_nothing_is_made_before_the_first_byte(directory: Folder, tmp_path: Path) -> None:
    output = Output(directory, order())
    assert output.ready() and not list(tmp_path.iterdir())
    output.take(b"hello\nworld", cri.STDOUT)
    output.close()
    log = (tmp_path / LIVE).read_bytes()
    assert cri.decode(log) == b"hello\nworld"
    assert (output.size, output.checksum) == (len(log), crc32(log))
    assert output.counts == {cri.STDOUT: 11, cri.STDERR: 0}


def test_what_a_filter_makes_long_becomes_records_piece_by_piece(
    directory: Folder, tmp_path: Path
) -> None:
    output = Output(directory, order(segment_size=1))
    data = b"\n" * (2 * PIECE + 1)
    output.take(data, cri.STDOUT)
    output.close()
    segments = [path for path in tmp_path.iterdir() if path.suffix == ".log"]
    assert len(segments) == 3, "each piece was written before the next one was made"
    assert max(path.stat().st_size for path in segments) <= 4 << 20
    log = b"".join(path.read_bytes() for path in sorted(segments))
    assert cri.decode(log) == data and len(log) == output.size
    assert crc32(log) == output.checksum


def test_segments_are_closed_under_their_offset(directory: Folder, tmp_path: Path) -> None:
    output = Output(directory, order(segment_size=100, segments=1000))
    data = [b"line %03d\n" % number * (1 + number % 7) for number in range(50)]
    for part in data:
        output.take(part, cri.STDERR)
    output.close()
    starts = sorted(s for n in os.listdir(tmp_path) if (s := closed_start(n)) is not None)
    assert len(starts) > 20 and starts[0] == 0
    whole, checksums = b"", {}
    for start in starts:
        assert len(whole) == start
        whole += (tmp_path / closed_name(start)).read_bytes()
        checksums[len(whole)] = crc32(whole)
    lines = (tmp_path / CHECKSUMS).read_text().splitlines()
    assert {int(a): int(b) for a, b in (line.split() for line in lines)} == checksums
    whole += (tmp_path / LIVE).read_bytes()
    assert cri.decode(whole, cri.STDERR) == b"".join(data)
    assert (output.size, output.checksum) == (len(whole), crc32(whole))


def test_it_waits_while_too_many_segments_lie_there(directory: Folder, tmp_path: Path) -> None:
    output = Output(directory, order(segment_size=10, segments=2))
    for _ in range(3):
        assert output.ready()
        output.take(b"something\n", cri.STDOUT)
    assert not output.ready() and "2 segments" in output.waiting
    (tmp_path / closed_name(0)).unlink()
    assert output.ready() and not output.waiting
    output.close()


def test_it_waits_above_the_reserve_of_the_disk(directory: Folder, tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    output = Output(directory, order(reserve=disk.f_blocks * disk.f_frsize, segment_size=1 << 30))
    output.take(b"small\n", cri.STDOUT)
    assert output.ready(), "little output passes"
    output.take(b"x" * (1 << 20), cri.STDOUT)
    assert not output.ready() and "reserve" in output.waiting
    output.close()


def test_what_the_cap_held_back_comes_at_the_end(directory: Folder, tmp_path: Path) -> None:
    output = Output(directory, order(max_log=4096))
    output.take(b"a" * 4000 + b"\n", cri.STDOUT)
    output.end()
    assert cri.decode((tmp_path / LIVE).read_bytes()) == b"a" * 4000 + b"\n"
    output.close()


# A disk that is really full -----------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid():
        pytest.skip("mounting a small tmpfs takes root")
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=60", "tmpfs", place], check=True
    )
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def fill(disk: Path) -> Path:
    """Take all space that is left."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(b"x" * 4096)
    return ballast


def grew(directory: Path, reader: SpoolReader, offset: int) -> bool:
    return (directory / "exit.json").exists() or reader.size() > offset


def test_a_full_disk_loses_nothing(small_disk: Path) -> None:
    harness = ShimHarness(small_disk / "state")
    harness.shims.start(1)
    try:
        size = 6_000_000
        directory = harness.start(
            ["sh", "-c", f"yes 0123456789abcde | head -c {size}; echo end >&2; exit 3"],
            segment_size=200_000,
            segments=100,
        )
        # The job fills the disk and waits; the agent frees acknowledged segments now and then.
        started = harness.started(directory)
        eventually(lambda: os.statvfs(small_disk).f_bavail == 0, what="for a full disk")
        # A shim that sleeps though there is output has tried to write more, and waits for room.
        eventually(lambda: in_pipe(started["pid"]) > 0)
        eventually(lambda: state(started["shim_pid"]) == "S")
        reader, view = SpoolReader(directory), memoryview(bytearray(1 << 16))
        parts, offset, waited = [], 0, 0
        while True:
            count = reader.read_into(view, offset)
            parts.append(bytes(view[:count]))
            offset += count
            if not count:
                waited += 1
                if (directory / "exit.json").exists() and reader.size() == offset:
                    break
                reader.drop_acked(offset, 1)
                more = functools.partial(grew, directory, reader, offset)
                eventually(more)
        reader.close()
        record = harness.ended(directory)
        log = b"".join(parts)
        assert record["exit_code"] == 3 and waited > 1
        assert (record["size"], record["checksum"]) == (len(log), crc32(log))
        assert len(cri.decode(log, cri.STDOUT)) == size
        assert cri.decode(log, cri.STDERR) == b"end\n"
        assert "output_waits" in [step["what"] for step in record["steps"]]
    finally:
        harness.close()


def test_an_end_on_a_full_disk_is_written_when_there_is_room(small_disk: Path) -> None:
    harness = ShimHarness(small_disk / "state")
    harness.shims.start(1)
    try:
        directory = harness.make(["sh", "-c", "read x < go; echo late; exit 4"])
        os.mkfifo(directory / "work" / "go")
        harness.shims.request(directory)
        pid = harness.started(directory)["pid"]
        ballast = fill(small_disk)
        (directory / "work" / "go").write_bytes(b"\n")
        eventually(lambda: not os.path.exists(f"/proc/{pid}"), what="for the job to be reaped")
        assert not (directory / "exit.json").exists()
        ballast.unlink()
        assert harness.ended(directory)["exit_code"] == 4
        assert cri.decode(read_log(directory)) == b"late\n"
    finally:
        harness.close()


def test_a_full_disk_does_not_hold_up_a_cancel(small_disk: Path) -> None:
    harness = ShimHarness(small_disk / "state")
    harness.shims.start(1)
    try:
        directory = harness.start(["yes", "x" * 500], segment_size=1 << 30)
        pid = harness.started(directory)["pid"]

        def full() -> bool:
            return os.statvfs(small_disk).f_bavail == 0

        eventually(full)
        assert tell(directory, {"do": "stop"})
        eventually(lambda: not os.path.exists(f"/proc/{pid}"), what="for the job to end")
        with (directory / "output.log").open("rb") as log:
            head = log.read()
        os.truncate(directory / "output.log", 0)
        record = harness.ended(directory)
        assert record["end_reason"] == "cancelled" and record["size"] > len(head)
    finally:
        harness.close()


def test_an_attempt_that_finds_no_room_to_begin_starts_later(small_disk: Path) -> None:
    harness = ShimHarness(small_disk / "state")
    harness.shims.start(1)
    try:
        directory = harness.make(["echo", "at last"])
        filler = small_disk / "filler"
        filler.mkdir()
        with pytest.raises(OSError):
            for number in range(1000):
                (filler / str(number)).touch()
        harness.shims.request(directory)
        eventually(lambda: "No space left" in harness.log())
        assert not (directory / "started.json").exists()
        for path in filler.iterdir():
            path.unlink()
        harness.shims.request(directory)
        assert harness.ended(directory)["exit_code"] == 0
        assert cri.decode(read_log(directory)) == b"at last\n"
    finally:
        harness.close()


# Jobs that put things where the log is ---------------------------------------------------------


@pytest.mark.parametrize("kind", ["directory", "link", "fifo", "file"])
@pytest.mark.parametrize("name", [LIVE, CHECKSUMS, closed_name(0)])
def test_what_a_job_puts_there_is_moved_away(
    directory: Folder, tmp_path: Path, name: str, kind: str
) -> None:
    target = tmp_path / name
    secret = tmp_path.parent / "secret"
    secret.write_bytes(b"secret")
    match kind:
        case "directory":
            target.mkdir()
        case "link":
            target.symlink_to(secret)
        case "fifo":
            os.mkfifo(target)
        case "file":
            target.hardlink_to(secret)
    output = Output(directory, order(segment_size=10))
    for number in range(3):
        output.take(b"line %d of it\n" % number, cri.STDOUT)
    output.close()
    assert secret.read_bytes() == b"secret"
    log = read_log(tmp_path)
    assert cri.decode(log).splitlines() == [b"line %d of it" % number for number in range(3)]
    assert (output.size, output.checksum) == (len(log), crc32(log))


def test_what_the_disk_does_not_take_can_be_given_up(small_disk: Path) -> None:
    with Folder(small_disk) as folder:
        output = Output(folder, order())
        output.take(b"kept\n", cri.STDOUT)
        fill(small_disk)
        output.take(b"x" * 100_000, cri.STDOUT)
        assert not output.flush() and output.give_up() > 90_000 and output.flush()
        output.close()
    log = (small_disk / LIVE).read_bytes()
    assert (output.size, output.checksum) == (len(log), crc32(log))


class Shout:
    """Makes letters large, and holds back half a line until the rest of it comes."""

    def __init__(self) -> None:
        self.held = b""

    def feed(self, data: bytes) -> bytes:
        whole, line, self.held = (self.held + data).rpartition(b"\n")
        return (whole + line).upper()

    def flush(self) -> bytes:
        held, self.held = self.held, b""
        return held.upper()


def test_a_filter_sees_each_stream_apart_and_before_anything_is_kept(
    directory: Folder, tmp_path: Path
) -> None:
    output = Output(directory, order(), Filters(Shout))
    for data, stream in ((b"one\ntw", cri.STDOUT), (b"err", cri.STDERR), (b"o\n", cri.STDOUT)):
        output.take(data, stream)
    before = (tmp_path / LIVE).read_bytes()
    assert cri.decode(before, cri.STDOUT) == b"ONE\nTWO\n" and not cri.decode(before, cri.STDERR)
    output.end()
    output.close()
    log = (tmp_path / LIVE).read_bytes()
    assert (cri.decode(log, cri.STDOUT), cri.decode(log, cri.STDERR)) == (b"ONE\nTWO\n", b"ERR")
    assert (output.size, output.checksum) == (len(log), crc32(log))
    assert output.counts == {cri.STDOUT: 8, cri.STDERR: 3}, "what the job has written"


class Double:
    def feed(self, data: bytes) -> bytes:
        return data * 2

    def flush(self) -> bytes:
        return b"the end\n"


def test_the_cap_counts_what_a_filter_lets_through(directory: Folder, tmp_path: Path) -> None:
    output = Output(directory, order(max_log=1000), Filters(Double))
    output.take(b"0123456789abcde\n" * 100, cri.STDOUT)
    output.end()
    output.close()
    text = cri.decode((tmp_path / LIVE).read_bytes()).decode()
    assert text.startswith("0123456789abcde\n") and text.endswith("the end\nthe end\n")
    assert "2216 bytes omitted here" in text, "3,200 and twice 8 bytes, of which 1,000 are kept"
