"""An exit record becomes the very message that the careful way makes of it, or nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remote_agent.journal.directory import ended_from
from remote_agent.journal.end_records import KnownEnd, end_of
from remote_agent.shim.ending import EndResult
from remote_agent.shim.record_text import ExitRecord
from remote_protocol.codec import decode_from_agent, messages_of
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
        found = end_of(key, json.dumps(body).encode())
        assert found is not None and found.ended == ended_from(key, body)
        assert (found.ended.end_reason, found.ended.size) == (EndReason.EXIT, 7)


USED = '{"cpu_user":0.25,"cpu_system":0.000000}'
STEPS = '[{"at":1.500000,"what":"spawned","detail":"\\n,\\"clean\\":true}"}]'


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("given", [{}, {"outputs": {"clean": "true"}}, {"artifacts": 2}])
def test_the_record_of_a_shim_is_the_message_nearly(clean: bool, given: dict[str, Any]) -> None:
    key = new_key()
    end = EndResult(3, "exit", "ä\n")
    record = ExitRecord(f'"{key}"', end, 7, 9, USED, 1.5, 2.5, STEPS, given, clean).text()
    found = end_of(key, record.encode())
    assert found is not None and found.text
    assert decode_from_agent(found.text) == found.ended == ended_from(key, json.loads(record))
    assert json.loads(found.text).keys().isdisjoint({"v", "key", "clean"})
    assert messages_of(found.text) == [found.text]


@pytest.mark.parametrize("odd", [" ", "\n"])
def test_what_no_shim_wrote_is_encoded_again(odd: str) -> None:
    key = new_key()
    record = json.dumps({"v": 1, "key": str(key), **RECORD}, separators=(f"{odd},", ":"))
    found = end_of(key, record.encode())
    assert found == KnownEnd(ended_from(key, json.loads(record)))


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
