"""What a transaction collects beside its rows."""

from __future__ import annotations

from remote_protocol.states import EndReason, JobState
from remote_server.domain.model import Principal
from tests.server.store.test_batches import FakeTransaction

ALICE = Principal("01ARZ3NDEKTSV4RRFFQ69G5FAV", "alice")


def test_notes_become_events_and_changes() -> None:
    tx = FakeTransaction([])
    tx.by = ALICE
    tx.note("j", 1.0, "assigned", state=JobState.ASSIGNED, attempt=1, agent="a", asked=False)
    tx.note("j", 2.0, "ended", state=JobState.FAILED, attempt=1)
    assert [event["actor"] for event in tx.events] == [None, ALICE.text]
    assert [event["state"] for event in tx.events] == ["assigned", "failed"]
    assert {event["source"] for event in tx.events} == {"server"}
    assert (tx.changes.jobs, tx.changes.ended) == ({"j"}, {"j"})
    assert tx.wrote
    tx.begin()
    assert not tx.changes
    assert not tx.events


def test_counts_follow_the_jobs() -> None:
    tx = FakeTransaction([])
    tx.ready("d", -1)
    assert not tx.changes.queued
    tx.ready("d", 1)
    assert tx.changes.queued
    tx.moves("q", None, JobState.QUEUED)
    tx.moves("q", JobState.QUEUED, JobState.FAILED, EndReason.EXPIRED)
    assert tx.changes.ready_counts == {"d": 0}
    assert tx.changes.state_counts == {("q", "queued"): 0, ("q", "failed"): 1}
    tx.moves("q", JobState.QUEUED, JobState.CANCELLED, EndReason.CANCELLED)
    assert tx.changes.end_counts == {("q", "expired"): 1, ("q", "cancelled"): 1}
    assert tx.changes.failures == {"q": 1}
