"""The forms in which stored logs are shown."""

from __future__ import annotations

import json
from base64 import b64decode

from hypothesis import given
from hypothesis import strategies as st

from remote_protocol import cri
from remote_server.web.logs.forms import Plain, Raw, Records

STAMP = b"2026-11-21T03:04:05.123456789Z"
READS = st.lists(st.tuples(st.sampled_from([cri.STDOUT, cri.STDERR]), st.binary(max_size=40)))


def stored(reads: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"".join(cri.encode(data, STAMP, stream)) for stream, data in reads)


def own(reads: list[tuple[bytes, bytes]], only: bytes | None = None) -> bytes:
    return b"".join(data for stream, data in reads if only in (None, stream))


def test_raw_is_what_is_stored() -> None:
    assert Raw().feed(b"cut rec", 7) == b"cut rec"
    assert Raw.cut


@given(READS, st.integers(0, 60), st.sampled_from([None, "stdout", "stderr"]))
def test_plain_gives_the_jobs_bytes_from_any_position(reads, skip, only) -> None:
    form = Plain(only, skip)
    shown = b"".join(form.feed(stored([read]), 0) for read in reads)
    assert shown == own(reads, only.encode() if only else None)[skip:]


@given(READS)
def test_records_give_the_jobs_bytes_and_where_to_go_on(reads) -> None:
    data = stored(reads)
    lines = Records(None, events=False).feed(data, 1000).decode().split("\n")[:-1]
    found = [json.loads(line) for line in lines]
    text = b"".join(
        r["text"].encode() if "text" in r else b64decode(r["data_base64"]) for r in found
    )
    assert text == own(reads)
    for record in found:
        assert record["time"] == STAMP.decode()
        end = record["offset"] - 1000
        assert data[end - 1 : end] == b"\n"
    assert not found or found[-1]["offset"] == 1000 + len(data)


def test_records_keep_carriage_returns_and_other_line_ends_inside() -> None:
    text = "a\rb\u2028c\x0b\x85\n"
    data = stored([(cri.STDOUT, text.encode())])
    (line,) = Records(None, events=False).feed(data, 0).decode().split("\n")[:-1]
    assert json.loads(line)["text"] == text


def test_events_carry_the_offset_as_their_id() -> None:
    data = stored([(cri.STDOUT, b"a\n"), (cri.STDERR, b"b\n")])
    shown = Records("stderr", events=True).feed(data, 0).decode()
    head, body = shown.removesuffix("\n\n").split("\n")
    assert head == f"id: {len(data)}"
    record = json.loads(body.removeprefix("data: "))
    assert (record["stream"], record["text"], record["offset"]) == ("stderr", "b\n", len(data))
