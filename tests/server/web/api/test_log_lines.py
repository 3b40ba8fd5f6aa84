"""Lines of a log by number and by words, for programs."""

from __future__ import annotations

import pytest

from remote_protocol import cri
from remote_protocol.api.log_lines import LogLines, LogMatches
from remote_protocol.attempt_id import AttemptId
from tests.server.web.api.test_logs import begun, begun_twice, end, write
from tests.support.live_server import Live
from tests.support.stored import submitted


@pytest.fixture
async def key(live: Live) -> AttemptId:
    """A running attempt with a little log."""
    found = await begun(live)
    write(live, found, b"one\ntwo\n")
    write(live, found, b"Oops\n", cri.STDERR)
    write(live, found, b"three")
    return found


async def lines(live: Live, key: AttemptId, query: str) -> LogLines:
    answer = await live.get(f"/jobs/{key.job}/log/lines?{query}", await live.token_for("viewer"))
    assert answer.status == 200, answer.text
    assert set(answer.body) == set(LogLines.model_fields)
    return LogLines.model_validate(answer.body)


async def test_lines_by_number_of_both_streams_and_of_one(live: Live, key: AttemptId) -> None:
    found = await lines(live, key, "number=1")
    shown = [(line.number, line.stream_number, line.stream, line.text) for line in found.items]
    assert shown == [
        (1, 1, "stdout", "one"),
        (2, 2, "stdout", "two"),
        (3, 1, "stderr", "Oops"),
        (4, 3, "stdout", "three"),
    ]
    assert [line.open for line in found.items] == [False, False, False, True]
    assert (found.attempt, found.lines, found.over) == (1, 4, False)
    assert found.counted == found.size == live.services.logs.length(key)
    only = await lines(live, key, "number=2&stream=stderr&count=1")
    assert [line.number for line in only.items] == [3]
    last = await lines(live, key, "last=true&count=2")
    assert [line.number for line in last.items] == [3, 4]
    await end(live, key)
    assert (await lines(live, key, "row=9")).over


async def test_a_long_line_says_what_is_left_out(live: Live) -> None:
    key = await begun(live)
    write(live, key, b"<" + b"x" * 60_000 + b">\n")
    (line,) = (await lines(live, key, "number=1")).items
    assert line.text.startswith("<x") and line.rest.endswith("x>")
    assert len(line.text) + line.left_out + len(line.rest) == 60_002


async def test_a_search_gives_numbers_and_where_to_go_on(live: Live, key: AttemptId) -> None:
    answer = await live.get(f"/jobs/{key.job}/log/find?words=o")
    assert answer.status == 200, answer.text
    found = LogMatches.model_validate(answer.body)
    assert [(hit.number, hit.stream_number) for hit in found.items] == [(1, 1), (2, 2), (3, 1)]
    assert found.done and found.offset <= found.size
    small = (await live.get(f"/jobs/{key.job}/log/find?words=oops&stream=stdout")).body
    assert small["items"] == []
    write(live, key, b" more\n")
    on = (await live.get(f"/jobs/{key.job}/log/find?words=more&offset={found.offset}")).body
    assert [hit["number"] for hit in on["items"]] == [4]


async def test_each_attempt_has_its_own_lines(live: Live) -> None:
    first, second = await begun_twice(live)
    assert [line.text for line in (await lines(live, first, "row=1&attempt=1")).items] == ["first"]
    assert [line.text for line in (await lines(live, second, "row=1")).items] == ["second"]


async def test_what_is_not_there_and_what_is_no_query(live: Live, key: AttemptId) -> None:
    waits = await submitted(live.services.store)
    for path in (f"/jobs/{waits}/log/lines?row=1", f"/jobs/{waits}/log/find?words=x"):
        (await live.get(path)).problem(404, "not_found")
    (await live.get(f"/jobs/{key.job}/log/lines?row=1&attempt=7")).problem(404, "not_found")
    for query in ("", "row=1&number=1", "row=0", "row=1&count=501", "row=1&colour=red"):
        (await live.get(f"/jobs/{key.job}/log/lines?{query}")).problem(422, "validation")
    (await live.get(f"/jobs/{key.job}/log/find")).problem(422, "validation")
    (await live.get(f"/jobs/{key.job}/log/find?words=x", "")).problem(401, "missing_token")
