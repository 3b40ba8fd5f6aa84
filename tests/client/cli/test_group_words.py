"""Groups in words."""

from __future__ import annotations

from typing import Any

from remote_client.cli.group_words import agents_in_words, counts_in_words, summary, waits_for
from tests.support.fake_api import ID, NOW


def group(**fields: Any) -> dict[str, Any]:
    return {"id": ID, "size": 3, "counts": {}, "unavailable": 0, **fields}


def away(*names: str) -> dict[str, Any]:
    found = [{"agent": name, "reason": "offline"} for name in names]
    return {"unavailable": len(names), "unavailable_agents": found[:20]}


def test_counts() -> None:
    assert counts_in_words(group(counts={"queued": 0, "failed": 1, "succeeded": 2})) == (
        "2 succeeded, 1 failed"
    )


def test_agents() -> None:
    assert agents_in_words(group(size=1)) == "1 agent"
    assert agents_in_words(group(**away("a"))) == (
        "3 agents, of which 1 takes no jobs now: a (offline)"
    )
    many = agents_in_words(group(**away(*(f"a{n}" for n in range(30)))))
    assert many.endswith("30 take no jobs now: a0 (offline), a1 (offline), a2 (offline), "
                         "a3 (offline), a4 (offline) and 25 more")  # fmt: skip


def test_whom_it_waits_for() -> None:
    queued = {"queued": 1, "succeeded": 2}
    assert waits_for(group(counts=queued, **away("a"))) == "waits for 1 agent: a (offline)"
    assert waits_for(group(counts=queued)) == "", "it is about to start"
    assert waits_for(group(counts={**queued, "running": 1}, **away("a"))) == ""
    assert waits_for(group(counts={"succeeded": 3})) == ""
    halted = group(counts=queued, halted_at=NOW)
    assert waits_for(halted) == "was halted: no other job is started"


def test_a_summary_of_many_tells_what_went_wrong() -> None:
    members = [
        {"job": ID, "agent": f"a{n:03}", "state": "succeeded", "exit_code": 0} for n in range(101)
    ]
    assert summary(members) == []
    members[7] |= {"state": "failed", "exit_code": 3, "end_detail": "exited with code 3"}
    title, row = summary(members)
    assert title.split() == ["AGENT", "STATE", "EXIT", "CODE", "TOOK", "JOB", "WHY"]
    assert row.split() == ["a007", "failed", "3", ID, *["exited", "with", "code", "3"]]
    assert len(summary(members[:50])) == 51
