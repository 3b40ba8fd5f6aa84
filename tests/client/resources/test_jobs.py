"""Jobs by both clients."""

from __future__ import annotations

from typing import Any

import pytest

from remote_client.errors import ClientError
from remote_protocol.spec import CommandSpec
from remote_protocol.states import JobState
from tests.support.fake_api import ID, NOW, TOKEN, Answer, FakeApi, job_view


def test_submit_sends_what_was_asked_and_a_key(api: FakeApi, both: Any) -> None:
    api.on("POST", "/jobs", Answer(job_view(), 201))
    job = both.submit(CommandSpec(command=["echo", "hi"], timeout=5))
    assert (job.id, job.state) == (ID, JobState.QUEUED)
    said = api.calls[0]
    assert said.body == {"command": ["echo", "hi"], "timeout": 5.0}
    assert said.headers["Idempotency-Key"]
    assert said.headers["Authorization"] == f"Bearer {TOKEN}"


def test_a_job_is_explained(api: FakeApi, both: Any) -> None:
    found = {"outlook": "now", "reason": "r", "serving": 1, "judged": 1, "fitting": 1}
    api.on("POST", "/jobs/explain", {**found, "candidates": []})
    assert both.explain(CommandSpec(command=["echo"], queue="q")).outlook == "now"
    assert api.calls[0].body == {"command": ["echo"], "queue": "q"}


def test_wait_until_the_end_or_the_timeout(api: FakeApi, both: Any) -> None:
    path = f"/jobs/{ID}"
    api.on("GET", path, job_view(), job_view(state="running"), job_view(state="succeeded"))
    assert both.wait(ID).state is JobState.SUCCEEDED
    api.on("GET", path, job_view(state="running"))
    with pytest.raises(ClientError, match="still running"):
        both.wait(ID, timeout=0)


def test_a_batch_gets_keys_of_its_own(api: FakeApi, both: Any) -> None:
    api.on("POST", "/jobs/batch", Answer({"ids": [ID, ID]}, 201))
    named = CommandSpec(command=["b"], queue="default")
    assert both.submit_batch([CommandSpec(command=["a"]), named]) == [ID, ID]
    first, second = api.calls[0].body["jobs"]
    assert first["idempotency_key"] != second["idempotency_key"]
    assert (first["command"], second["command"]) == (["a"], ["b"])
    assert "queue" not in first and second["queue"] == "default", "as far as it was said"


def test_a_batch_may_say_what_became_of_each(api: FakeApi, both: Any) -> None:
    refused = {"id": None, "status": 422, "code": "unknown_queue", "detail": "there is no queue"}
    answer = {"ids": [ID], "results": [{"id": ID}, refused]}
    api.on("POST", "/jobs/batch", Answer(answer, 200))
    specs = [CommandSpec(command=["a"]), CommandSpec(command=["b"], queue="nowhere")]
    first, second = both.submit_each(specs)
    assert (first.id, first.status) == (ID, None)
    assert (second.id, second.status, second.code) == (None, 422, "unknown_queue")
    body = api.calls[0].body
    assert body["atomic"] is False and len({job["idempotency_key"] for job in body["jobs"]}) == 2


def test_jobs_are_looked_up_by_ids_and_keys(api: FakeApi, both: Any) -> None:
    answer = {"items": [job_view()], "keys": {"k": ID}, "missing_ids": [], "missing_keys": ["x"]}
    api.on("POST", "/jobs/lookup", answer)
    found = both.look_up([ID], idempotency_keys=["k", "x"])
    assert (found.items[0].id, found.keys, found.missing_keys) == (ID, {"k": ID}, ["x"])
    assert api.calls[0].body == {"ids": [ID], "idempotency_keys": ["k", "x"]}


def test_pages_and_what_becomes_of_a_job(api: FakeApi, both: Any) -> None:
    api.on("GET", "/jobs", {"items": [job_view()], "next_cursor": "c"})
    page = both.jobs(limit=1, state="queued")
    assert (page.items[0].id, page.next_cursor) == (ID, "c")
    assert api.calls[0].query == {"limit": "1", "state": "queued"}
    api.on("POST", f"/jobs/{ID}/cancel", job_view(cancel_requested=True))
    assert both.cancel(ID, "enough").cancel_requested
    assert api.calls[1].body == {"reason": "enough"}
    api.on("POST", f"/jobs/{ID}/retry", job_view())
    assert both.retry(ID).id == ID
    api.on(
        "GET", f"/jobs/{ID}/timeline", {"items": [{"seq": 1, "job": ID, "at": NOW, "what": "x"}]}
    )
    assert [entry.what for entry in both.timeline(ID)] == ["x"]
    api.on("GET", f"/jobs/{ID}/outputs", {"attempt": 2, "outputs": {"a": "1"}, "warning": None})
    assert both.outputs(ID, 2).outputs == {"a": "1"}
    assert api.calls[-1].query == {"attempt": "2"}


def test_an_input_in_parts(api: FakeApi, both: Any) -> None:
    api.on("PATCH", f"/jobs/{ID}/input", {"size": 3, "state": "ended"})
    assert both.send_input(ID, 0, b"abc", end=True).state == "ended"
    assert api.calls[0].query == {"offset": "0", "end": "true"}
    api.on("GET", f"/jobs/{ID}/input", {"size": 3, "state": "ended"})
    assert both.input(ID).size == 3


def test_artifacts(api: FakeApi, both: Any) -> None:
    item = {"number": 1, "name": "a b", "size": 2, "state": "complete", "sha256": "0" * 64}
    found = {"attempt": 1, "expected": 1, "complete": True, "warning": None, "items": [item]}
    api.on("GET", f"/jobs/{ID}/artifacts", found)
    api.on("GET", f"/jobs/{ID}/artifacts/a%20b", b"hi")
    assert both.artifacts(ID).items[0].name == "a b"
    assert b"".join(both.artifact(ID, "a b")) == b"hi"
