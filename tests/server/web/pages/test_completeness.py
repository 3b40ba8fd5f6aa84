"""Whether all of a log is there, in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from remote_protocol.states import AttemptState
from remote_server.domain.model import Attempt
from remote_server.web.logs.lines import Place
from remote_server.web.pages.completeness import Stored, completeness
from remote_server.web.pages.words import size

PLACE = Place(5000, 40, 2)


def attempt(state: AttemptState, **more: Any) -> Attempt:
    return Attempt("01ARZ3NDEKTSV4RRFFQ69G5FAV", 1, "osl-05", state, 0.0, **more)


def test_a_complete_log() -> None:
    ended = attempt(
        AttemptState.ENDED, log_size=5000, log_complete=True, log_checksum=0x9F3A21C4, exit_code=0
    )
    found = completeness(ended, Stored(5000, PLACE))
    assert (found.state, found.word) == ("complete", "complete")
    assert found.says == ("42\u00a0lines", size(5000))
    assert found.checksum == "9f3a21c4"
    assert found.end == "stdout 40 · stderr 2"
    older = completeness(replace(ended, log_checksum=None), Stored(5000, PLACE))
    assert (older.word, older.checksum) == ("complete", "")
    nothing = completeness(replace(ended, log_size=0), Stored(0, Place()))
    assert (nothing.word, nothing.says, nothing.end) == ("complete", ("it printed nothing",), "")


def test_lines_that_are_not_counted_yet_are_not_said() -> None:
    ended = attempt(AttemptState.ENDED, log_size=20_000, log_complete=True)
    found = completeness(ended, Stored(20_000, PLACE))
    assert found.says == ("counting lines, 25\u00a0%", size(20_000))
    assert found.end == ""


def test_a_running_attempt_and_one_whose_agent_is_silent() -> None:
    running = attempt(AttemptState.RUNNING)
    live = completeness(running, Stored(5000, PLACE))
    assert (live.word, live.says[0]) == ("live", "42\u00a0lines so far")
    assert completeness(running, Stored(0, Place())).says == ("nothing printed yet",)
    silent = completeness(running, Stored(5000, PLACE, silence=240.0))
    assert (silent.state, silent.word) == ("stale", "not all here yet")
    assert "the agent osl-05 has been silent for 4\u00a0min" in silent.says


@pytest.mark.parametrize(
    ("gaps", "stored", "said"),
    [
        (((12, 1_204_331),), 5000, ["1,204,331\u00a0bytes missing after line 12"]),
        ((), 4000, ["1,000\u00a0bytes missing at its end"]),
        ((), 5000, ["it differs from what the agent reported"]),
        (
            tuple((line, 1) for line in range(1, 6)),
            5000,
            [
                *(f"1\u00a0byte missing after line {line}" for line in range(1, 4)),
                "and 2\u00a0more gaps",
            ],
        ),
    ],
)
def test_an_incomplete_log_says_what_is_missing(
    gaps: tuple[tuple[int, int], ...], stored: int, said: list[str]
) -> None:
    ended = attempt(AttemptState.ENDED, log_size=5000)
    found = completeness(ended, Stored(stored, Place(stored, 40, 2), gaps))
    assert (found.state, found.word) == ("gap", "incomplete")
    assert list(found.says[2:]) == said


def test_a_log_that_is_not_kept_any_more_and_that_of_a_lost_attempt() -> None:
    ended = attempt(AttemptState.ENDED, log_size=5000, log_complete=True)
    assert completeness(ended, Stored(0, Place())).word == "deleted"
    lost = completeness(attempt(AttemptState.LOST), Stored(5000, PLACE))
    assert lost.word == "not known to be complete"
    assert "osl-05" in lost.says[-1]
