"""The calls about webhooks, against a fake API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from remote_client.calls import Calls
from remote_client.errors import ApiError
from remote_client.network import BlockingNetwork
from remote_client.transport import Transport
from tests.support.fake_api import TOKEN, FakeApi, problem


@pytest.fixture
def calls(api: FakeApi) -> Iterator[Calls]:
    with closing(Transport(api.url, TOKEN, network=BlockingNetwork(lambda _: None))) as transport:
        yield Calls(transport)


def test_messages_are_listed_and_shown(api: FakeApi, calls: Calls) -> None:
    api.on("GET", "/webhooks/alarm/deliveries", {"items": [], "next_cursor": None})
    api.on("GET", "/webhooks/alarm/deliveries/ABC", {"id": "ABC"})
    assert calls.webhook_deliveries("alarm", state="failed", limit=5)["items"] == []
    assert calls.webhook_delivery("alarm", "ABC") == {"id": "ABC"}
    assert [said.query for said in api.calls] == [{"state": "failed", "limit": "5"}, {}]


def test_what_may_be_done_already_is_not_asked_twice(api: FakeApi, calls: Calls) -> None:
    busy = problem(503, "store_unavailable", "later")
    api.on("POST", "/webhooks/alarm/test", busy, {"id": "ABC"})
    with pytest.raises(ApiError):
        calls.ask_webhook("alarm", "test")
    assert len(api.calls) == 1
