"""Logs and events by both clients."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remote_client.errors import EventsLost
from remote_protocol.states import EndReason, JobState
from tests.support.fake_api import ID, NOW, Answer, FakeApi, cri_log, job_view


def test_events(api: FakeApi, both: Any) -> None:
    line = (
        '{"seq": %d, "job": "' + ID + f'", "at": "{NOW}", "what": "queued", "state": "queued"}}\n'
    )
    end = '{"event": "end", "after": 11}\n'
    # The first answer was cut, and ended by a proxy in good order.
    cut = (line % 7 + "\n" + line % 9)[:-20]
    api.on("GET", "/events", cut.encode(), (line % 9 + line % 11 + end).encode())
    assert [event.seq for event in both.events(after=5, follow=False)] == [7, 9, 11]
    assert [said.query for said in api.calls] == [{"after": "5"}, {"after": "7"}]


def test_events_of_some_queues_say_how_jobs_ended(api: FakeApi, both: Any) -> None:
    event = {"seq": 7, "job": ID, "at": NOW, "what": "ended", "state": "failed", "queue": "q"}
    more = {"exit_code": 3, "end_reason": "exit", "idempotency_key": "k", "later_field": 1}
    end = '{"event": "end", "after": 7}\n'
    api.on("GET", "/events", f"{json.dumps({**event, **more})}\n{end}".encode())
    (told,) = both.events(follow=False, queues=["q"], states=[JobState.FAILED])
    assert (told.queue, told.exit_code, told.end_reason) == ("q", 3, EndReason.EXIT)
    assert told.idempotency_key == "k"
    assert api.calls[0].query == {"after": "0", "queue": "q", "state": "failed"}


def test_events_that_are_lost_are_told(api: FakeApi, both: Any) -> None:
    api.on("GET", "/events", b'{"event": "gap", "after": 5, "next": 40}\n{"event": "end"}\n')
    with pytest.raises(EventsLost, match="after event 5; list the jobs") as told:
        list(both.events(after=5, follow=False))
    assert told.value.next == 40


def test_a_log_that_was_cut_goes_on_where_it_broke(api: FakeApi, both: Any) -> None:
    log = cri_log(("stdout", b"one\n"), ("stderr", b"two\n"), ("stdout", b"three\n"))
    api.on("GET", f"/jobs/{ID}/log", Answer(log[:-20], breaks=True), log)
    assert both.log(ID) == b"one\ntwo\nthree\n"
    assert both.log(ID, stream="stderr") == b"two\n"
    assert b"".join(both.stored_log(ID, offset=0)) == log


def test_a_log_is_followed_to_its_end(api: FakeApi, both: Any) -> None:
    log = cri_log(("stdout", b"one\n"), ("stderr", b"two\n"))
    api.on("GET", f"/jobs/{ID}/log", log)
    attempt = {
        "number": 1, "state": "ended", "agent": "a", "offered_at": NOW, "log_complete": True,
        "log_size": len(log),
    }  # fmt: skip
    api.on("GET", f"/jobs/{ID}", job_view(state="succeeded", attempt=1, attempts=[attempt]))
    records = list(both.follow_log(ID, attempt=1))
    assert [(record.stream, record.data) for record in records] == [
        ("stdout", b"one\n"), ("stderr", b"two\n")
    ]  # fmt: skip
