"""`remotectl job logs --search` and `--lines`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.fake_api import ID, FakeApi, Said

TEXTS = {number: f"line {number}" for number in range(1, 1301)}


def lines(said: Said) -> dict[str, Any]:
    """The server's lines, at most 500 of them."""
    first, count = int(said.query["number"]), int(said.query["count"])
    assert count <= 500
    items = [
        {"number": n, "stream": "stdout", "text": TEXTS[n]}
        for n in range(first, min(first + count, len(TEXTS) + 1))
    ]
    return {"attempt": 1, "items": items, "lines": 1300, "counted": 9, "size": 9, "over": True}


@pytest.fixture
def log(api: FakeApi) -> FakeApi:
    api.on("GET", f"/jobs/{ID}/log/lines", lines)
    return api


def test_lines_of_a_range_have_their_numbers(
    log: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ctl("job", "logs", "--lines", "2-3", ID) == 0
    assert capsys.readouterr().out == "2: line 2\n3: line 3\n"
    assert ctl("job", "logs", "--lines", "7", ID) == 0
    assert capsys.readouterr().out == "7: line 7\n"
    assert ctl("job", "logs", "--lines", "2-", ID) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1299


def test_a_search_goes_on_to_the_end_and_prints_each_line_once(
    log: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def hits(*numbers: int, offset: int, done: bool) -> dict[str, Any]:
        items = [{"number": n, "stream_number": n} for n in numbers]
        return {"attempt": 2, "items": items, "offset": offset, "size": 9, "done": done}

    log.on(
        "GET",
        f"/jobs/{ID}/log/find",
        hits(3, 5, offset=4, done=False),
        hits(offset=6, done=False),
        hits(5, 900, offset=9, done=True),
    )
    assert ctl("job", "logs", "--search", "x", "--stream", "stdout", ID) == 0
    assert capsys.readouterr().out == "3: line 3\n5: line 5\n900: line 900\n"
    asked = [call.query["offset"] for call in log.said("GET", f"/jobs/{ID}/log/find")]
    assert asked == ["0", "4", "6"]
    log.on("GET", f"/jobs/{ID}/log/find", hits(offset=9, done=True))
    assert ctl("job", "logs", "--search", "x", ID) == 1
    assert "no line of this log has 'x'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ("--lines", "0"),
        ("--lines", "5-3"),
        ("--lines", "a"),
        ("--lines", "1", "--search", "x"),
        ("--search", "x", "-f"),
        ("--lines", "1", "--timestamps"),
    ],
)
def test_what_does_not_go_together(log: FakeApi, ctl: Any, options: tuple[str, ...]) -> None:
    assert ctl("job", "logs", *options, ID) == 2
    assert log.calls == []
