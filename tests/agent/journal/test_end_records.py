"""An exit record becomes the very message that the careful way makes of it, or nothing."""

from __future__ import annotations

import json

import pytest

from remote_agent.journal.directory import ended_from
from remote_agent.journal.end_records import end_of
from remote_protocol.limits import MAX_TEXT
from remote_protocol.states import EndReason
from tests.support.fake_server import new_key

RECORD = {
    "v": 1,
    "exit_code": 3,
    "end_reason": "exit",
    "end_detail": "ä",
    "size": 7,
    "checksum": 9,
    "usage": {"cpu_user": 0.25, "max_rss": 4096},
    "started_at": 1.5,
    "ended_at": 2.5,
    "steps": [{"at": 1.5, "what": "spawned"}],
    "clean": True,
    "what a newer shim says": {"x": 1},
}


def test_a_record_is_read_as_the_careful_way_reads_it() -> None:
    key = new_key()
    own: list[dict[str, object]] = [{}, {"key": str(key)}, {"outputs": {"a": "1"}}]
    for more in [*own, {"artifacts": 2, "artifacts_warning": "w"}]:
        body = {**RECORD, **more}
        ended = end_of(key, json.dumps(body).encode())
        assert ended == ended_from(key, body)
        assert (ended.end_reason, ended.size) == (EndReason.EXIT, 7)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{",
        b"{}",
        b"[1]",
        b"\xff",
        json.dumps({**RECORD, "size": -1}).encode(),
        json.dumps({**RECORD, "end_detail": "x" * (MAX_TEXT + 1)}).encode(),
        json.dumps({**RECORD, "type": "accept"}).encode(),
        json.dumps({**RECORD, "attempt": str(new_key())}).encode(),
        b"{" * 100_000,
    ],
)
def test_what_is_not_understood_at_once_is_left_to_that(record: bytes) -> None:
    assert end_of(new_key(), record) is None
