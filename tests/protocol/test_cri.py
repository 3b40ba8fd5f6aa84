"""The CRI log format: encoding loses nothing, and is what the kubelet writes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_protocol.cri import (
    CONTENT,
    STAMP_LENGTH,
    STDERR,
    STDOUT,
    complete,
    decode,
    encode,
    records,
)

STAMP = b"2026-11-21T03:04:05.123456789Z"
LINE = re.compile(
    rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) [FP] [^\n]*\n", re.DOTALL
)
READS = st.lists(st.tuples(st.binary(max_size=40), st.sampled_from([STDOUT, STDERR])), max_size=12)
TEXTY = st.lists(st.sampled_from([b"a", b"\n", b"", b"\r", b"P ", b" stdout F "]), max_size=12)


def write(reads: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(part for data, stream in reads for part in encode(data, STAMP, stream))


def test_the_stamp_has_the_length_that_prefixes_rely_on() -> None:
    assert len(STAMP) == STAMP_LENGTH
    assert len(STAMP + b" stdout F ") == CONTENT


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"one\n", [b" stdout F one\n"]),
        (b"one", [b" stdout P one\n"]),
        (b"one\ntwo", [b" stdout F one\n", b" stdout P two\n"]),
        (b"one\ntwo\n", [b" stdout F one\n", b" stdout F two\n"]),
        (b"\n\n", [b" stdout F \n", b" stdout F \n"]),
        (b"\0\xff\n", [b" stdout F \0\xff\n"]),
    ],
)
def test_records(data: bytes, lines: list[bytes]) -> None:
    assert write([(data, STDOUT)]) == b"".join(STAMP + line for line in lines)


@given(READS)
def test_every_byte_comes_back(reads: list[tuple[bytes, bytes]]) -> None:
    log = write(reads)
    assert decode(log) == b"".join(data for data, _ in reads)
    for stream in (STDOUT, STDERR):
        assert decode(log, stream) == b"".join(data for data, of in reads if of == stream)


@given(TEXTY)
def test_every_record_has_the_form_of_the_kubelet(parts: list[bytes]) -> None:
    log = write([(b"".join(parts), STDERR)])
    assert LINE.sub(b"", log) == b""


@given(READS, st.integers(0, 2000))
def test_a_cut_log_is_whole_up_to_complete(reads: list[tuple[bytes, bytes]], cut: int) -> None:
    log = write(reads)[:cut]
    whole = complete(log)
    assert complete(memoryview(log)) == whole
    assert b"\n" not in log[whole:]
    everything = b"".join(data for data, _ in reads)
    assert everything.startswith(decode(log[:whole]))


@given(READS)
def test_records_carry_time_stream_and_data(reads: list[tuple[bytes, bytes]]) -> None:
    found = list(records(write(reads)))
    assert b"".join(record.data for record in found) == b"".join(data for data, _ in reads)
    assert {record.time for record in found} <= {STAMP.decode()}
    assert {record.stream for record in found} <= {"stdout", "stderr"}


def test_damaged_lines_are_dropped() -> None:
    log = b"garbage\n" + write([(b"good\n", STDOUT)]) + b"\0" * 50 + b"\n"
    assert decode(log) == b"good\n"
    assert [record.data for record in records(log)] == [b"good\n"]
