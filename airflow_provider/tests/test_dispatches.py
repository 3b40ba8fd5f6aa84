"""The bookkeeping of dispatches, without threads: what is said when, in odd orders."""

from __future__ import annotations

from typing import Any

from remote_airflow.dispatches import Dispatches, Measures, Report, Told


def event(dispatch: str, state: str, **more: Any) -> dict[str, Any]:
    return {"job": f"J-{dispatch}", "state": state, "idempotency_key": dispatch, **more}


def test_an_end_that_comes_before_the_answer_to_the_submission() -> None:
    known = Dispatches()
    known.add("k", "a", {})
    assert [one.id for one in known.to_submit(9)] == ["a"]
    known.heard(event("a", "running"))
    known.heard(event("a", "succeeded"))
    assert known.reports() == [Report("k", Told.RUNNING, "a"), Report("k", Told.SUCCESS, "a")]
    known.submitted("a", "J-a")
    assert known.to_submit(9) == [] and not known.pending() and known.reports() == []


def test_one_that_is_told_as_ended_leaves_the_outbox() -> None:
    """Its submission was done, and the answer was lost."""
    known = Dispatches()
    known.add("k", "a", {})
    told = "exit, exit code 3: exited with code 3"
    known.heard(event("a", "failed", exit_code=3, end_reason="exit", detail=told))
    (report,) = known.reports()
    assert report.detail == "job J-a failed (exit) exit code 3: exited with code 3"
    assert known.to_submit(9) == [] and not known.pending()


def test_a_dispatch_that_another_one_followed_while_it_was_submitted_is_left_alone() -> None:
    known = Dispatches()
    known.add("k", "a", {})
    known.to_submit(9)
    known.add("k", "b", {})
    known.submitted("a", "J-a")
    known.heard(event("a", "failed"))
    assert known.cancels() == {} and known.reports() == []
    assert [one.id for one in known.to_submit(9)] == ["b"]


def test_one_that_was_taken_back_while_it_was_submitted_is_cancelled() -> None:
    known = Dispatches()
    known.add("k", "a", {})
    known.to_submit(9)
    known.revoke("k", "enough")
    assert known.cancels() == {"a": (None, "enough")}, "to be looked up"
    known.submitted("a", "J-a")
    assert known.cancels() == {"a": ("J-a", "enough")}
    known.cancelled("a")
    assert not known.pending() and known.reports() == []


def test_a_revoked_key_that_is_dispatched_again_is_another_job() -> None:
    known = Dispatches()
    known.add("k", "a", {})
    known.submitted("a", "J-a")
    known.revoke("k", "waited too long")
    known.add("k", "b", {})
    known.submitted("b", "J-b")
    known.heard(event("a", "cancelled"))
    known.heard(event("b", "running"))
    assert known.reports() == [Report("k", Told.RUNNING, "b")]
    assert known.cancels() == {"a": ("J-a", "waited too long")}
    assert known.keep_only({"k"}, "") == [] and known.keep_only(set(), "gone") == ["k"]
    assert known.cancels()["b"] == ("J-b", "gone")


def test_what_the_server_does_not_know_any_more_has_failed() -> None:
    known = Dispatches()
    known.add("k", "a", {})
    known.looked_up({}, {"a"})
    assert known.reports() == [], "it is still to be submitted"
    known.submitted("a", "J-a")
    assert known.live() == [("a", "J-a")]
    known.looked_up({}, {"a"})
    known.looked_up({}, {"a"})
    (report,) = known.reports()
    assert (report.what, report.detail) == (
        Told.FAILED,
        "the server knows no job of this task any more",
    )


def test_what_has_happened_is_measured_once() -> None:
    known = Dispatches()
    for name in ("a", "b", "c"):
        known.add(f"k{name}", name, {})
    known.adopt("other", "d", None)
    assert known.measures() == Measures(outbox=3, followed=1, refused=0, waited=[])
    known.submitted("a", "J-a")
    known.refused("b", "no such queue")
    known.refused("never-heard-of", "no such queue")
    known.reports()
    known.heard(event("a", "running"))
    known.heard(event("a", "running"))
    known.heard(event("d", "running"))
    found = known.measures()
    assert (found.outbox, found.followed, found.refused) == (1, 2, 1)
    assert len(found.waited) == 1 and 0 <= found.waited[0] < 60, "nobody knows it of adopted ones"
    assert known.measures() == Measures(1, 2, 0, [])
