"""What each call says; documents come back as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from remote_client.calls import TERMINAL, Calls
from remote_client.network import BlockingNetwork
from remote_client.transport import Transport
from remote_protocol import states
from tests.support.fake_api import ID, TOKEN, Answer, FakeApi, job_view, problem


@pytest.fixture
def calls(api: FakeApi) -> Iterator[Calls]:
    with closing(Transport(api.url, TOKEN, network=BlockingNetwork(lambda _: None))) as transport:
        yield Calls(transport)


def test_terminal_states_are_those_of_the_protocol() -> None:
    assert {state.value for state in states.TERMINAL} == TERMINAL


def test_all_pages_are_one(api: FakeApi, calls: Calls) -> None:
    first = {"items": [{"name": "a"}], "next_cursor": "more"}
    api.on("GET", "/agents", first, {"items": [{"name": "b"}], "next_cursor": None})
    page = calls.every("agents")
    assert page == {"items": [{"name": "a"}, {"name": "b"}], "next_cursor": None}
    assert [said.query.get("cursor") for said in api.calls] == [None, "more"]


def test_a_retry_is_safe_to_repeat(api: FakeApi, calls: Calls) -> None:
    busy = problem(503, "store_unavailable", "later")
    api.on("POST", f"/jobs/{ID}/retry", busy, Answer(job_view(), 201))
    assert calls.retry(ID)["id"] == ID
    assert len({said.headers["Idempotency-Key"] for said in api.calls}) == 1
