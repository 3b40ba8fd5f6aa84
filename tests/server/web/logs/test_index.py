"""Any line of a log is found by its number, quickly, while the log grows."""

from __future__ import annotations

import asyncio

import pytest

from remote_protocol import cri
from remote_protocol.attempt_id import AttemptId
from remote_server.web.logs import index as index_module
from remote_server.web.logs.index import AHEAD, LineIndex, LineIndexes
from remote_server.web.logs.lines import Line
from remote_server.web.logs.reading import LogReader
from tests.support.memory_logs import memory_logs

KEY = AttemptId("01ARZ3NDEKTSV4RRFFQ69G5FAV", 1)
STAMP = b"2026-11-21T03:04:05.123456789Z"


class Log:
    """A log in memory with its reader and index."""

    def __init__(self) -> None:
        self.logs = memory_logs()
        self.index = LineIndex()
        self.read = 0

        async def packed() -> bool:
            return False

        self.reader = LogReader(self.logs, KEY, asyncio.Semaphore(2), packed)

    def write(self, data: bytes, stream: bytes = cri.STDOUT) -> None:
        self.logs.append(KEY, b"".join(cri.encode(data, STAMP, stream)))

    def count_reads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Count the bytes that are read from now on, as `read`."""
        plain = self.logs.read

        async def counted(key: AttemptId, offset: int, size: int) -> bytes:
            data = await plain(key, offset, size)
            self.read += len(data)
            return data

        monkeypatch.setattr(self.logs, "read", counted)

    async def count(self, seconds: float = 60.0, row: int = 0) -> bool:
        return await self.index.count(self.reader, self.logs.length(KEY), seconds, row)

    async def lines(self, first: int, count: int, stream: str | None = None) -> list[str]:
        return texts(await self.index.lines(self.reader, first, count, stream))


def texts(lines: list[Line]) -> list[str]:
    return [f"{line.part.number} {line.shown()['x']}" for line in lines]


@pytest.fixture
async def log() -> Log:
    return Log()


async def test_lines_by_their_number_and_by_their_place_in_a_stream(log: Log) -> None:
    for number in range(20_000):
        log.write(b"out %d\n" % number)
        if number % 100 == 0:
            log.write(b"err %d\n" % number, cri.STDERR)
    assert await log.count()
    assert log.index.place.begun() == 20_200
    assert log.index.place.begun("stderr") == 200
    assert await log.lines(1, 2) == ["1 out 0", "2 err 0"]
    assert await log.lines(20_199, 5) == ["20199 out 19998", "20200 out 19999"]
    assert await log.lines(20_201, 5) == []
    found = await log.index.lines(log.reader, 10_000, 9, "stderr", by_number=True)
    assert [line.part.ordinal for line in found] == list(range(100, 109))
    assert await log.lines(200, 9, "stderr") == ["20101 err 19900"]
    assert await log.lines(19_999, 9, "stdout") == ["20199 out 19998", "20200 out 19999"]
    found = await log.index.lines(log.reader, 20_001, 1, "stderr", by_number=True)
    assert texts(found) == ["20101 err 19900"]
    assert found[0].row("stderr") == 200
    every = await log.lines(1, 20_200)
    assert [int(text.split()[0]) for text in every] == list(range(1, len(every) + 1))


async def test_only_what_is_near_a_line_is_read(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write(b"".join(b"line %d\n" % number for number in range(100_000)))
    assert await log.count()
    log.count_reads(monkeypatch)
    assert await log.lines(90_000, 1) == ["90000 line 89999"]
    assert log.read < 512 * 1024
    assert log.logs.length(KEY) > 4 * 1024 * 1024


async def test_what_lies_between_the_lines_of_one_stream_is_not_read(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        log.write(b"err %d\n" % number, cri.STDERR)
        log.write(b"".join(b"line %d\n" % line for line in range(50_000)))
    log.write(b"err ", cri.STDERR)
    log.write(b"last\n")
    log.write(b"3\n", cri.STDERR)
    assert await log.count()
    log.count_reads(monkeypatch)
    wanted = ["1 err 0", "50002 err 1", "100003 err 2", "150004 err 3"]
    assert await log.lines(1, 100, "stderr") == wanted
    found = await log.index.lines(log.reader, 2, 100, "stderr", by_number=True)
    assert texts(found) == wanted[1:]
    assert log.read < log.logs.length(KEY) // 2 > 3 * 1024 * 1024


async def test_places_are_bounded(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "MOST_PLACES", 8)
    log.write(b"".join(b"line %d\n" % number for number in range(100_000)))
    assert await log.count()
    assert len(log.index._places) <= 8
    assert await log.lines(54_321, 1) == ["54321 line 54320"]


async def test_counting_goes_on_where_it_was(log: Log) -> None:
    log.write(b"".join(b"line %d\n" % number for number in range(50_000)))
    assert not await log.count(0.0)
    assert not await log.count(row=1)
    first = log.index.place
    assert 0 < first.offset < log.logs.length(KEY)
    assert await log.lines(1, 1) == ["1 line 0"]
    assert await log.count()
    log.write(b"more")
    assert await log.count()
    assert await log.lines(50_000, 5) == ["50000 line 49999", "50001 more"]
    log.write(b" and more\n")
    assert await log.count()
    assert await log.lines(50_001, 5) == ["50001 more and more"]


async def test_a_cut_record_is_counted_when_it_is_whole(log: Log) -> None:
    whole = b"".join(cri.encode(b"hello\n", STAMP, cri.STDOUT))
    log.logs.append(KEY, whole[:20])
    assert not await log.count()
    assert log.index.place.offset == 0
    log.logs.append(KEY, whole[20:])
    assert await log.count()
    assert await log.lines(1, 1) == ["1 hello"]


async def test_a_bar_is_shown_whole_while_the_other_stream_prints(log: Log) -> None:
    """Also when its end comes long after its beginning."""
    log.write(b"0 %")
    for number in range(200):
        log.write(b"x" * (AHEAD // 100) + b"\n", cri.STDERR)
        log.write(b"\r%d %%" % number)
        if number % 50 == 0:
            assert await log.count()
            assert (await log.lines(1, 1))[0].endswith(f"\r{number} %")
    log.write(b"\rdone\n")
    assert await log.count()
    assert (await log.lines(1, 1))[0].endswith("\r199 %\rdone")
    (again,) = await log.index.lines(log.reader, 1, 1)
    assert again.ends and not log.index.unfinished


async def test_what_is_handed_out_is_bounded(log: Log) -> None:
    for _ in range(200):
        log.write(b"y" * 20_000 + b"\n")
    assert await log.count()
    found = await log.index.lines(log.reader, 1, 200)
    assert 25 < len(found) < 30
    assert all(line.left_out == 20_000 - 16 * 1024 for line in found)


async def test_indexes_of_many_logs() -> None:
    indexes = LineIndexes()
    keys = [AttemptId(KEY.job, number) for number in range(1, 100)]
    first = indexes.of(keys[0], 10)
    assert indexes.of(keys[0], 10) is first
    for key in keys[1:]:
        indexes.of(key, 10)
    assert len(indexes._kept) == index_module.MOST_LOGS
    assert indexes.of(keys[0], 10, first) is first
    assert indexes.of(keys[1], 10) is not first


async def test_a_log_that_was_begun_anew_is_counted_anew(log: Log) -> None:
    indexes = LineIndexes()
    log.write(b"first\nsecond\n")
    log.index = indexes.of(KEY, log.logs.length(KEY))
    await log.count()
    log.logs.begin(KEY)
    log.write(b"other\n")
    log.index = indexes.of(KEY, log.logs.length(KEY), log.index)
    assert log.index.place.offset == 0
    await log.count()
    assert await log.lines(1, 5) == ["1 other"]


async def test_what_is_looked_through_for_more_lines_is_bounded(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "LOOKING", 0.0)
    log.write(b"first\nbegins")
    for _ in range(40):
        log.write(b"z" * 40_000)
    assert await log.count()
    read = []

    async def reading(key: AttemptId, offset: int, size: int) -> bytes:
        read.append(size)
        return await whole(key, offset, size)

    whole = log.logs.read
    monkeypatch.setattr(log.logs, "read", reading)
    assert (await log.lines(1, 100))[0] == "1 first"
    assert sum(read) < 300_000


async def test_a_line_that_was_not_read_to_its_end_begins_the_next_answer(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write(b"first\nbegins")
    for _ in range(10):
        log.write(b"z" * 10_000)
    log.write(b"\nthird\n")
    log.index._far.clear()
    assert await log.count()
    monkeypatch.setattr(index_module, "LOOKING", 0.0)
    log.index._far.clear()
    assert await log.lines(1, 3) == ["1 first"]
    monkeypatch.setattr(index_module, "LOOKING", 60.0)
    assert len(await log.lines(2, 3)) == 2


async def test_it_was_looked_at_a_cut_record_though_it_is_not_counted(log: Log) -> None:
    log.write(b"one\n")
    whole = log.logs.length(KEY)
    log.logs.append(KEY, b"".join(cri.encode(b"two\n", STAMP, cri.STDOUT))[:40])
    assert not await log.count()
    assert log.index.looked == log.logs.length(KEY) > log.index.place.offset == whole
