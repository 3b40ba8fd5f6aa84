"""Words are found in the whole log, part by part."""

from __future__ import annotations

import pytest

from remote_protocol import cri
from remote_server.web.logs import find as find_module
from remote_server.web.logs.find import find
from tests.server.web.logs.test_index import KEY, Log


@pytest.fixture
async def log() -> Log:
    return Log()


async def every(
    log: Log, words: str, stream: str | None = None, seconds: float = 60.0
) -> list[int]:
    await log.count()
    offset, numbers = 0, set[int]()
    while True:
        found = await find(log.index, log.reader, words, offset, seconds, stream)
        numbers |= {number for number, _ in found.hits}
        assert found.at > offset or found.at == log.index.place.offset
        offset = found.at
        if offset >= log.index.place.offset:
            return sorted(numbers)


async def test_words_in_lines_of_both_streams(log: Log) -> None:
    log.write(b"one Retry\ntwo\n")
    log.write(b"three RETRY\n", cri.STDERR)
    assert await every(log, "retry") == [1, 3]
    assert await every(log, "retry", "stderr") == [3]
    assert await every(log, "nothing") == []


async def test_what_stands_before_each_record_is_no_text(log: Log) -> None:
    log.write(b"a\nstdout\n")
    assert await every(log, "stdout") == [2]
    assert await every(log, "2026-11") == []


async def test_words_with_colours_inside_and_in_several_records(log: Log) -> None:
    log.write(b"re\x1b[1;31mtr\x1b[0my\n")
    log.write(b"the ret")
    log.write(b"between\n", cri.STDERR)
    log.write(b"ry goes on\n")
    assert await every(log, "retry") == [1, 2]


async def test_text_beyond_ascii(log: Log) -> None:
    log.write("naïve Öl\n".encode())
    assert await every(log, "naïve Ö") == [1]


async def test_a_part_at_a_time_finds_the_same(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [b"line %d%s\n" % (n, b" hit" if n % 1000 == 0 else b"") for n in range(30_000)]
    log.write(b"".join(lines))
    wanted = [n + 1 for n in range(0, 30_000, 1000)]
    assert await every(log, "hit") == wanted
    assert await every(log, "hit", seconds=0.0) == wanted
    monkeypatch.setattr(find_module, "MOST_HITS", 1)
    assert await every(log, "hit") == wanted


async def test_a_line_that_goes_on_in_the_next_part_is_found(log: Log) -> None:
    log.write(b"copying\r")
    for number in range(5):
        log.write(b"x" * 40_000 + b"\n", cri.STDERR)
        log.write(b"%d\r" % number)
    log.write(b"finished\n")
    assert await every(log, "finished", seconds=0.0) == [1]


async def test_a_line_of_many_small_records_is_gone_through_once(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that prints a byte at a time must not hold the loop: with what was carried from record
    to record, 16 KiB of control sequences, a piece took seconds."""
    looked = 0
    plain = find_module.folded

    def counting(data: bytes) -> bytes:
        nonlocal looked
        looked += len(data)
        return plain(data)

    monkeypatch.setattr(find_module, "folded", counting)
    for _ in range(2000):
        log.write(b"\x1b[m" * 4)
        log.write(b"\x1b]" + b"q" * 20)
    log.write(b"\x07the re\x1b[1")
    log.write(b"mtry\n")
    assert await every(log, "retry") == [1]
    assert looked < 8 * log.logs.length(KEY)
