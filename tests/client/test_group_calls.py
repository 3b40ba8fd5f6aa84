"""What each call about groups says; documents come back as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from remote_client.calls import Calls
from remote_client.network import BlockingNetwork
from remote_client.transport import Transport
from tests.support.fake_api import ID, TOKEN, Answer, FakeApi


@pytest.fixture
def calls(api: FakeApi) -> Iterator[Calls]:
    with closing(Transport(api.url, TOKEN, network=BlockingNetwork(lambda _: None))) as transport:
        yield Calls(transport)


def test_a_repeated_submission_has_its_key(api: FakeApi, calls: Calls) -> None:
    api.on("POST", "/groups", Answer(None, 503), Answer({"id": ID}, 201))
    sent: list[str] = []
    group = {"spec": {"command": ["true"]}}
    assert calls.submit_group(group, sending=lambda: sent.append("x"))["id"] == ID
    first, again = api.said("POST", "/groups")
    assert sent and first.body == group
    assert first.headers["Idempotency-Key"] == again.headers["Idempotency-Key"]
    calls.submit_group({"spec": {"command": ["true"], "idempotency_key": "mine"}})
    assert api.calls[-1].headers["Idempotency-Key"] == "mine"


def test_pages_and_wishes(api: FakeApi, calls: Calls) -> None:
    api.on("GET", f"/groups/{ID}", {"id": ID})
    api.on("GET", f"/groups/{ID}/members", {"items": []})
    api.on("POST", f"/groups/{ID}/cancel", Answer({"id": ID}, 202))
    api.on("POST", "/groups/explain", {"size": 3})
    assert calls.group(ID, limit=1)["id"] == ID
    assert api.calls[-1].query == {"limit": "1"}
    assert calls.group_members(ID, cursor=None)["items"] == []
    assert api.calls[-1].query == {}
    calls.cancel_group(ID, "why")
    assert api.calls[-1].body == {"reason": "why"}
    assert calls.explain_group({"spec": {}})["size"] == 3


def test_waiting_for_the_end(api: FakeApi, calls: Calls) -> None:
    ended = {"id": ID, "ended_at": "2026-11-21T05:00:00Z"}
    api.on("GET", f"/groups/{ID}", {"id": ID, "ended_at": None}, ended)
    assert calls.wait_for_group(ID) == ended
