"""Lists and events as a program reads them while others write: nothing twice, nothing left out."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.contract.conftest import Site

MOST_COUNTED = 10_000
BATCH = 2_000


@pytest.fixture
def http(site: Site) -> Iterator[httpx.Client]:
    """A client with an operator's token."""
    headers = {"Authorization": f"Bearer {site.tokens['operator']}"}
    base = f"{site.stack.url}/api/v1"
    with httpx.Client(base_url=base, headers=headers, timeout=120) as client:
        yield client


def submit(http: httpx.Client, count: int, name: str) -> list[str]:
    """Submit jobs that nobody runs; their ids."""
    job = {"command": ["true"], "queue": "other", "name": name}
    answer = http.post("/jobs/batch", json={"jobs": [job] * count})
    assert answer.status_code == 201, answer.text
    ids: list[str] = answer.json()["ids"]
    return ids


def test_pages_stay_where_they_are_while_jobs_come(http: httpx.Client) -> None:
    wanted = submit(http, 25, "paged")
    seen: list[str] = []
    query = {"name": "paged", "limit": "4"}
    while True:
        page = http.get("/jobs", params=query).json()
        seen += [job["id"] for job in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
        submit(http, 3, "paged")
    assert sorted(seen) == sorted(wanted)
    assert len(seen) == len(set(seen))


def test_a_count_is_bounded(http: httpx.Client) -> None:
    def total() -> int:
        return int(http.get("/jobs", params={"queue": "other", "limit": "1"}).json()["total"])

    before = total()
    submit(http, 10, "counted")
    assert total() == min(before + 10, MOST_COUNTED)
    for _ in range(MOST_COUNTED // BATCH + 1):
        submit(http, BATCH, "counted")
    assert total() == MOST_COUNTED


def test_events_are_numbered_and_resumed_and_a_gap_is_said(http: httpx.Client) -> None:
    def events(after: int) -> list[dict[str, object]]:
        answer = http.get("/events", params={"after": after})
        return [json.loads(line) for line in answer.text.splitlines()]

    (end,) = events(-1)
    start = end["after"]
    assert isinstance(start, int)
    ids = submit(http, 5, "told")
    *first, end = events(start)
    assert [event["job"] for event in first] == ids
    numbers = [event["seq"] for event in first]
    assert numbers == sorted(set(map(int, map(str, numbers))))
    assert end == {"event": "end", "after": numbers[-1]}
    assert [event["seq"] for event in events(int(str(numbers[1])))[:-1]] == numbers[2:]

    ahead = int(str(numbers[-1])) + 1_000
    gap, end = events(ahead)
    assert gap == {"event": "gap", "after": ahead, "next": numbers[-1]}
    assert end == {"event": "end", "after": numbers[-1]}
