"""The picture of a job's delays."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from remote_protocol.api.events import TimelineEntry
from remote_protocol.api.jobs import AttemptView, JobView
from remote_server.web.pages import timeline
from remote_server.web.pages.timeline import picture
from tests.server.web.pages.test_job_words import shown
from tests.support.stored import NOW


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOW + seconds, UTC)


def attempt(number: int, offered: float, started: float | None = None, **more: Any) -> AttemptView:
    ended = more.pop("ended", None)
    return AttemptView.model_validate(
        {
            "number": number,
            "agent": "a",
            "state": "running" if ended is None else "ended",
            "offered_at": at(offered),
            "started_at": None if started is None else at(started),
            "ended_at": None if ended is None else at(ended),
            **more,
        }
    )


def over(*attempts: AttemptView, ended: float, **fields: Any) -> JobView:
    values = {"state": "succeeded", "attempt": len(attempts), "attempts": list(attempts)}
    return shown(**values, ended_at=at(ended), **fields)


def test_a_wait_without_an_attempt_is_one_bar() -> None:
    found = picture(shown(state="queued"), [], NOW + 60)
    (lane,) = found.lanes
    assert (lane.title, lane.state, lane.mark) == ("No attempt yet", "queued", None)
    assert [(bar.kind, bar.x, bar.width) for bar in lane.bars] == [("wait", 0.0, 100.0)]
    assert lane.said == "No attempt yet, queue default: waits 1\u00a0min"
    assert [tick.words for tick in found.ticks][:2] == ["0", "10\u00a0s"]
    assert found.delays == []


def test_a_job_that_ended_while_it_waited_never_started() -> None:
    found = picture(shown(state="cancelled", ended_at=at(10)), [], NOW + 99)
    assert (found.lanes[0].title, found.lanes[0].mark) == ("Never started", 100.0)
    assert found.total == 10.0


def test_each_attempt_has_its_wait_and_its_run() -> None:
    first = attempt(1, 10, 10, ended=40, exit_code=1, end_reason="exit")
    second = attempt(2, 50, 50, ended=100, exit_code=0, end_reason="exit")
    found = picture(over(first, second, ended=100), [], NOW + 500)
    assert [(bar.kind, bar.x, bar.width) for bar in found.lanes[0].bars] == [
        ("wait", 0.0, 10.0), ("ran", 10.0, 30.0),
    ]  # fmt: skip
    assert [(bar.kind, bar.x, bar.width) for bar in found.lanes[1].bars] == [
        ("wait", 40.0, 10.0), ("ran", 50.0, 50.0),
    ]  # fmt: skip
    assert [lane.state for lane in found.lanes] == ["failed", "succeeded"]
    assert [lane.long for lane in found.lanes] == ["30\u00a0s", "50\u00a0s"]
    assert found.lanes[1].mark == 100.0


def test_the_silence_of_a_lost_agent_is_drawn() -> None:
    detail = "the agent 'a' was silent for 20s"
    lost = attempt(1, 0, 0, ended=50, state="lost", end_reason="lost", end_detail=detail)
    job = shown(state="queued", attempts=[lost], attempt=1)
    found = picture(job, [], NOW + 100)
    assert [(bar.kind, bar.x, bar.width) for bar in found.lanes[0].bars][1:] == [
        ("ran", 0.0, 30.0), ("silent", 30.0, 20.0),
    ]  # fmt: skip
    assert (found.lanes[1].title, found.lanes[1].bars[0].x) == ("Attempt 2", 50.0)


def test_an_agent_that_is_silent_now_shows_it() -> None:
    job = shown(state="running", attempts=[attempt(1, 0, 0)], attempt=1, agent="a")
    found = picture(job, [], NOW + 100, silence=25.0)
    assert [(bar.kind, bar.width) for bar in found.lanes[0].bars][1:] == [
        ("ran", 75.0), ("silent", 25.0),
    ]  # fmt: skip
    assert found.lanes[0].mark is None


def test_the_delays_of_the_last_attempt_are_told() -> None:
    one = attempt(1, 2, 4, ended=10, accepted_at=at(3), exit_code=0, end_reason="exit")
    entry = TimelineEntry(seq=1, job="0" * 26, at=at(5), what="first_output", attempt=1)
    found = picture(over(one, ended=10), [entry], NOW + 99)
    assert [(delay.words, delay.seconds, delay.more) for delay in found.delays] == [
        ("Waited", 2.0, False),
        ("Accepted", 1.0, True),
        ("Started", 1.0, True),
        ("First output", 1.0, True),
        ("Ran", 6.0, False),
    ]
    assert found.delays_of == "Delays of attempt 1"


def test_of_many_attempts_the_last_are_drawn() -> None:
    many = [
        attempt(n, n * 10.0, n * 10.0, ended=n * 10.0 + 5, exit_code=1, end_reason="exit")
        for n in range(1, 31)
    ]
    found = picture(over(*many, ended=305), [], NOW + 999)
    assert len(found.lanes) == timeline.LANES
    assert found.left_out == 30 - timeline.LANES
    assert found.lanes[0].bars[0].x == 0.0
    assert found.lanes[-1].mark == 100.0


def test_no_time_at_all_can_be_drawn() -> None:
    one = attempt(1, 0, 0, ended=0, exit_code=0, end_reason="exit")
    found = picture(over(one, ended=0), [], NOW)
    assert all(0 <= bar.x <= 100 for bar in found.lanes[0].bars)


def test_withdrawn_offers_are_no_attempts() -> None:
    back = attempt(1, 1, state="withdrawn")
    found = picture(shown(state="queued", attempts=[back], attempt=0), [], NOW + 9)
    assert [lane.title for lane in found.lanes] == ["No attempt yet"]
