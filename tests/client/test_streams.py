"""Streams over broken links, against a server that breaks them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from remote_client.errors import EventsLost, Unreachable
from remote_client.modes import iterate
from remote_client.network import BlockingNetwork
from remote_client.streams import artifact, numbered, own_log
from remote_client.transport import MAX_FAILURES, Transport
from tests.support.fake_api import TOKEN, Answer, FakeApi


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def transport(api: FakeApi, pauses: list[float]) -> Iterator[Transport]:
    with closing(Transport(api.url, TOKEN, network=BlockingNetwork(pauses.append))) as transport:
        yield transport


def lines(*documents: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


def entries(transport: Transport, after: int = 0) -> Iterator[dict[str, Any]]:
    return iterate(numbered(transport, "/audit/stream", "number", after, False, {"actor": "me"}))


def test_it_goes_on_after_the_last_number(api: FakeApi, transport: Transport) -> None:
    api.on(
        "GET",
        "/audit/stream",
        Answer(lines({"number": 3}, {"number": 4}), breaks=True),
        lines({"number": 5}, {"event": "end"}),
    )
    assert [entry["number"] for entry in entries(transport, 2)] == [3, 4, 5]
    assert [said.query for said in api.calls] == [
        {"after": "2", "actor": "me"},
        {"after": "4", "actor": "me"},
    ]


def test_a_gap_is_told(api: FakeApi, transport: Transport) -> None:
    api.on("GET", "/audit/stream", lines({"event": "gap", "after": 2, "next": 9}))
    with pytest.raises(EventsLost) as told:
        list(entries(transport, 2))
    assert told.value.next == 9


def test_it_gives_up_where_nothing_comes_any_more(
    api: FakeApi, transport: Transport, pauses: list[float]
) -> None:
    api.on("GET", "/audit/stream", lines({"number": 1}), Answer(b"", breaks=True))
    found = entries(transport)
    assert next(found)["number"] == 1
    with pytest.raises(Unreachable):
        list(found)
    # The first link had brought something, and ended in good order.
    assert len(api.calls) == 1 + MAX_FAILURES
    assert len(pauses) == MAX_FAILURES


def test_an_agents_own_log_goes_on_at_its_offset(api: FakeApi, transport: Transport) -> None:
    head = {"Remote-Log-Offset": "3", "Remote-Log-Size": "11"}
    api.on(
        "GET",
        "/agents/a/log",
        Answer(b"one\n", breaks=True, headers=head),
        Answer(b"two\n", headers={**head, "Remote-Log-Offset": "7"}),
    )
    found = iterate(own_log(transport, "/agents/a/log", 2, False))
    assert b"".join(found) == b"one\ntwo\n"
    assert [call.query for call in api.calls] == [{"tail": "2"}, {"offset": "7"}]


def test_an_artifact_goes_on_at_its_byte(api: FakeApi, transport: Transport) -> None:
    head = {"Remote-Artifact-Size": "6"}
    api.on(
        "GET",
        "/a",
        Answer(b"ab", breaks=True, headers=head),
        Answer(b"cd", headers=head),
        Answer(b"ef", headers=head),
    )
    assert b"".join(iterate(artifact(transport, "/a", 2, 0))) == b"abcdef"
    assert [said.query["offset"] for said in api.calls] == ["0", "2", "4"]
