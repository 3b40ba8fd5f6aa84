"""What each call says; documents come back as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from remote_client.calls import TERMINAL, Calls, segment
from remote_client.errors import ApiError, UsageError
from remote_client.network import BlockingNetwork
from remote_client.transport import Transport
from remote_protocol import states
from tests.support.fake_api import ID, TOKEN, Answer, FakeApi, job_view, problem


@pytest.fixture
def calls(api: FakeApi) -> Iterator[Calls]:
    with closing(Transport(api.url, TOKEN, network=BlockingNetwork(lambda _: None))) as transport:
        yield Calls(transport)


@pytest.mark.parametrize("name", ["..", ".", ""])
def test_a_step_of_a_path_is_no_name(api: FakeApi, calls: Calls, name: str) -> None:
    for call in (calls.job, calls.retry, lambda name: calls.delete("agents", name)):
        with pytest.raises(UsageError, match="is not a name"):
            call(name)
    assert api.calls == []


def test_anything_else_is_one_segment(api: FakeApi, calls: Calls) -> None:
    for name, sent in (
        ("a/b", "a%2Fb"),
        ("../x", "..%2Fx"),
        ("a?b#c", "a%3Fb%23c"),
        ("ä", "%C3%A4"),
    ):
        assert segment(name) == sent
        with pytest.raises(ApiError):
            calls.one("agents", name)
        assert api.calls[-1].path == f"/agents/{sent}"


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
