"""The calls about jobs, against a real server."""

from __future__ import annotations

import asyncio
import time
from io import BytesIO

import pytest

from remote_protocol.api.explanations import JobExplanation
from remote_protocol.api.jobs import JobView
from remote_protocol.messages import Hello
from remote_protocol.spec import CommandSpec, JobSpec
from remote_protocol.trace import trace_of
from remote_server.disk.reserve import Disk
from tests.support.live_server import Live
from tests.support.stored import finish
from tests.support.stored import running as run_job

TRUE = {"command": ["true"]}


async def test_a_job_is_submitted_and_shown_with_every_field(live: Live) -> None:
    answer = await live.post("/jobs", {"command": ["echo", "hi"], "timeout": "1h30m", "name": "n"})
    assert answer.status == 201
    job = JobView.model_validate(answer.body)
    assert answer.headers["Location"] == f"/api/v1/jobs/{job.id}"
    assert isinstance(job, CommandSpec)
    assert (job.state, job.command, job.timeout, job.attempt) == ("queued", ["echo", "hi"], 5400, 0)
    assert set(answer.body) == set(type(job).model_fields)
    shown = await live.get(f"/jobs/{job.id}")
    assert shown.status == 200
    assert shown.body["pending_reason"] == "no agent serves queue 'default'"
    assert shown.body["trace_id"] == trace_of(job.id, None).id
    assert shown.body | {"pending_reason": None, "trace_id": None} == answer.body
    assert abs(job.created_at.timestamp() - time.time()) < 60


async def test_an_idempotency_key_gives_the_first_job_again(live: Live) -> None:
    key = {"Idempotency-Key": "deploy-7"}
    first = await live.post("/jobs", TRUE, headers=key)
    again = await live.post("/jobs", TRUE, headers=key)
    assert (first.status, again.status) == (201, 200)
    assert first.body["id"] == again.body["id"]
    assert first.body["idempotency_key"] == "deploy-7"
    in_body = await live.post("/jobs", {**TRUE, "idempotency_key": "deploy-7"})
    assert in_body.body["id"] == first.body["id"]
    other = await live.post("/jobs", {"command": ["false"]}, headers=key)
    assert first.body["id"] in other.problem(409, "conflict")["detail"]
    both = await live.post("/jobs", {**TRUE, "idempotency_key": "x"}, headers=key)
    assert both.problem(422, "validation")["errors"][0]["field"] == "idempotency_key"
    long = await live.post("/jobs", TRUE, headers={"Idempotency-Key": "x" * 256})
    assert long.problem(422, "validation")["errors"][0]["field"] == "Idempotency-Key"


async def test_a_job_asks_for_one_agent(live: Live) -> None:
    body = (await live.post("/jobs", {**TRUE, "agent": "nobody"})).problem(422, "unknown_agent")
    assert body["detail"] == "there is no agent 'nobody'; no agent is registered yet"
    hello = Hello(oldest=1, newest=1, installation="i", session="0" * 26, agent_version="1")
    await live.server.services.store.bump_epoch("a1", hello, "", time.time())
    job = (await live.post("/jobs", {**TRUE, "agent": "a1"})).body
    assert (job["agent"], job["wanted_agent"]) == (None, "a1")
    shown = (await live.get(f"/jobs/{job['id']}")).body
    assert shown["pending_reason"] == "agent 'a1' is offline"
    (listed,) = (await live.get("/jobs")).body["items"]
    assert listed["pending_reason"] == "agent 'a1' is offline"
    await live.server.services.store.delete_agent("a1", time.time())
    shown = (await live.get(f"/jobs/{job['id']}")).body
    assert "does not exist any more" in shown["pending_reason"]


async def test_every_fault_of_a_job_is_named_at_once(live: Live) -> None:
    wrong = {"command": ["x"], "priority": 9999, "timeout": "soon", "colour": "red", "weight": 2}
    body = (await live.post("/jobs", wrong)).problem(422, "validation")
    assert {fault["field"] for fault in body["errors"]} == {
        "priority",
        "timeout",
        "colour",
        "weight",
    }
    messages = {fault["field"]: fault["message"] for fault in body["errors"]}
    assert messages["timeout"] == "'soon' is not a duration; write 30s, 10m or 1h30m"
    assert messages["colour"] == "unknown field"
    nested = {"command": ["x"], "on_disconnect": {"lost_after": -1}}
    body = (await live.post("/jobs", nested)).problem(422, "validation")
    assert body["errors"][0]["field"] == "on_disconnect.lost_after"
    reserved = {"command": ["x"], "env": {"REMOTE_JOB_ID": "1"}}
    problem = (await live.post("/jobs", reserved)).problem(422, "validation")
    assert problem["detail"] == "env: REMOTE_JOB_ID is set by the agent and cannot be given"
    named = (await live.post("/jobs", {**TRUE, "name": "a\0"})).problem(422, "validation")
    assert named["detail"] == "name: it cannot contain a NUL character"
    empty = (await live.post("/jobs", {})).problem(422, "validation")
    assert "give a command" in empty["detail"]


async def test_unusable_bodies_are_named(live: Live) -> None:
    assert "not JSON" in (await live.post("/jobs", "{oops")).problem(400, "bad_request")["detail"]
    (await live.post("/jobs", b"\xff\xfe")).problem(400, "bad_request")
    (await live.post("/jobs", "")).problem(400, "bad_request")
    (await live.post("/jobs", [1])).problem(422, "validation")
    unknown = await live.post("/jobs", {**TRUE, "queue": "nowhere"})
    detail = unknown.problem(422, "unknown_queue")["detail"]
    assert "nowhere" in detail
    assert "default" in detail


async def test_a_body_over_the_limit_is_refused_with_and_without_its_length(live: Live) -> None:
    big = b'{"command":["x"],"name":"' + b"y" * (13 * 1024 * 1024) + b'"}'
    said = await live.ask("POST", "/jobs", data=BytesIO(big))
    assert "12.0 MiB" in said.problem(413, "body_too_large")["detail"]

    async def pieces():
        for start in range(0, len(big), 65536):
            yield big[start : start + 65536]

    async with live.open("POST", "/jobs", data=pieces()) as response:
        assert response.status == 413
    assert (await live.post("/jobs", TRUE)).status == 201


async def test_a_batch_is_stored_whole_or_not_at_all(live: Live) -> None:
    good = await live.post("/jobs/batch", {"jobs": [TRUE] * 3})
    assert good.status == 201
    assert len(set(good.body["ids"])) == 3
    bad = await live.post("/jobs/batch", {"jobs": [TRUE, {"command": []}]})
    assert bad.problem(422, "validation")["errors"][0]["field"] == "jobs.1"
    gone = await live.post("/jobs/batch", {"jobs": [TRUE, {**TRUE, "queue": "nowhere"}]})
    gone.problem(422, "unknown_queue")
    assert len((await live.get("/jobs")).body["items"]) == 3


async def test_lists_are_filtered_and_paged(live: Live) -> None:
    await live.post("/queues", {"name": "other"})
    ids = (await live.post("/jobs/batch", {"jobs": [TRUE] * 5})).body["ids"]
    (await live.post("/jobs", {**TRUE, "queue": "other"})).body["id"]
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await live.get(f"/jobs?queue=default&limit=2{cursor}")).body
        seen += [job["id"] for job in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ids[::-1]
    await live.post(f"/jobs/{ids[0]}/cancel")
    cancelled = (await live.get("/jobs?state=cancelled")).body["items"]
    assert [job["id"] for job in cancelled] == ids[:1]
    assert (await live.get("/jobs?agent=nobody")).body["items"] == []
    wrong = await live.get("/jobs?state=done&limit=0&colour=red")
    faults = wrong.problem(422, "validation")["errors"]
    assert {fault["field"] for fault in faults} == {"state", "limit", "colour"}


async def test_a_waiting_job_is_cancelled_at_once_and_for_good(live: Live) -> None:
    job = (await live.post("/jobs", TRUE)).body["id"]
    gone = await live.post(f"/jobs/{job}/cancel", {"reason": "not needed"})
    assert gone.status == 200
    assert (gone.body["state"], gone.body["end_reason"]) == ("cancelled", "cancelled")
    assert "not needed" in gone.body["end_detail"]
    again = await live.post(f"/jobs/{job}/cancel")
    assert again.status == 200
    assert again.body["end_detail"] == gone.body["end_detail"]
    (await live.post("/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV/cancel")).problem(404, "not_found")


async def test_cancelling_a_running_job_is_a_wish(live: Live) -> None:
    key = await run_job(live.services.store, now=time.time())
    asked = await live.post(f"/jobs/{key.job}/cancel")
    assert asked.status == 202
    assert (asked.body["state"], asked.body["cancel_requested"]) == ("running", True)
    what = [e["what"] for e in (await live.get(f"/jobs/{key.job}/timeline")).body["items"]]
    assert what == ["queued", "assigned", "accepted", "started", "cancel_requested"]


async def test_an_ended_job_is_tried_again_as_a_new_one(live: Live) -> None:
    store = live.services.store
    key = await run_job(store, now=time.time(), name="again", idempotency_key="once")
    early = await live.post(f"/jobs/{key.job}/retry")
    assert "running" in early.problem(409, "conflict")["detail"]
    await finish(store, key, 1, now=time.time())
    new = await live.post(f"/jobs/{key.job}/retry")
    assert new.status == 201
    assert new.headers["Location"].endswith(new.body["id"])
    assert new.body["id"] != key.job
    assert (new.body["state"], new.body["name"]) == ("queued", "again")
    assert new.body["idempotency_key"] is None
    old = (await live.get(f"/jobs/{key.job}")).body
    assert (old["state"], old["exit_code"], old["attempts"][0]["exit_code"]) == ("failed", 1, 1)


async def test_many_submitters_share_commits(live: Live) -> None:
    answers = await asyncio.gather(*(live.post("/jobs", TRUE) for _ in range(50)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body["id"] for answer in answers}) == 50


async def test_the_view_is_what_the_model_says(live: Live) -> None:
    """Views are put together without validation: they must still be valid."""
    spec = JobSpec.model_validate(
        {
            "shell": "bash",
            "script": "true",
            "env": {"A": "ü"},
            "labels": {"gpu": "yes"},
            "files": [{"path": "a/b", "content": "aGk=", "mode": 0o755}],
            "memory_limit": "512MiB",
            "weight": 0.5,
            "on_disconnect": {"lost_after": "1m", "on_return": "keep_first"},
        }
    )
    body = (await live.post("/jobs", spec.model_dump(mode="json"))).body
    view = JobView.model_validate(body)
    assert {name: getattr(view, name) for name in CommandSpec.model_fields} == dict(spec)
    shown = JobView.model_validate((await live.get(f"/jobs/{view.id}")).body)
    assert shown.files == spec.files
    (listed,) = (await live.get("/jobs")).body["items"]
    assert listed["files"] == []


async def test_a_retry_with_an_idempotency_key_is_made_once(live: Live) -> None:
    store = live.services.store
    key = await run_job(store, now=time.time(), idempotency_key="first")
    await finish(store, key, 1, now=time.time())
    header = {"Idempotency-Key": "second"}
    one = await live.post(f"/jobs/{key.job}/retry", headers=header)
    two = await live.post(f"/jobs/{key.job}/retry", headers=header)
    assert (one.status, two.status) == (201, 200)
    assert one.body["id"] == two.body["id"] != key.job
    wrong = await live.post(f"/jobs/{key.job}/retry", {"colour": "red"})
    assert wrong.problem(422, "validation")["detail"] == "colour: unknown field"


async def test_a_batch_has_no_idempotency_key(live: Live) -> None:
    header = {"Idempotency-Key": "all"}
    refused = await live.post("/jobs/batch", {"jobs": [TRUE]}, headers=header)
    problem = refused.problem(422, "validation")
    assert "each job of the batch its own idempotency_key" in problem["detail"]
    assert (await live.get("/jobs")).body["items"] == []
    keyed = {"jobs": [{**TRUE, "idempotency_key": "a"}, {**TRUE, "idempotency_key": "b"}]}
    first = await live.post("/jobs/batch", keyed)
    assert (await live.post("/jobs/batch", keyed)).body == first.body


async def test_a_foreign_cursor_is_named(live: Live) -> None:
    problem = (await live.get("/jobs?cursor=abc")).problem(422, "validation")
    assert problem["detail"].startswith("cursor: is not a cursor of this list")


async def test_no_job_is_taken_while_the_disk_is_low(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = live.services.store
    key = await run_job(store, now=time.time())
    await finish(store, key, 1, now=time.time())
    monkeypatch.setattr(live.services.reserve, "_measure", lambda: Disk(1 << 40, 5))
    monkeypatch.setattr(live.services.reserve, "_looked_at", None)
    calls = [("/jobs", TRUE), ("/jobs/batch", {"jobs": [TRUE]}), (f"/jobs/{key.job}/retry", None)]
    for path, body in calls:
        refused = await live.post(path, body)
        assert "below its reserve" in refused.problem(503, "store_unavailable")["detail"]
        assert refused.headers["Retry-After"] == "30"
    assert (await live.get(f"/jobs/{key.job}")).status == 200
    for path in ("/healthz", "/readyz"):
        health = await live.get(path)
        assert (health.status, health.body["status"]) == (200, "low_disk")
        assert "below its reserve" in health.body["detail"]
    metrics = (await live.get("/metrics")).text
    assert "remote_disk_low 1\n" in metrics
    assert "remote_disk_free_bytes 5\n" in metrics


async def test_who_submitted_and_who_cancelled(live: Live) -> None:
    operator = await live.token_for("operator")
    mine = (await live.post("/jobs", {**TRUE, "name": "Mine"})).body
    theirs = (await live.post("/jobs", {**TRUE, "name": "theirs"}, operator)).body
    assert mine["submitted_by"]["name"] == "first-admin"
    assert theirs["submitted_by"]["name"] == "operator-0"
    for who, token, job in (("first-admin", None, mine), ("operator-0", operator, theirs)):
        for asked in ("me", who, job["submitted_by"]["id"]):
            found = (await live.get(f"/jobs?submitted_by={asked}&limit=1", token)).body["items"]
            assert [item["id"] for item in found] == [job["id"]]
    await live.post(f"/jobs/{mine['id']}/cancel", {}, operator)
    entries = (await live.get(f"/jobs/{mine['id']}/timeline")).body["items"]
    assert [(entry["what"], entry["by"]["name"]) for entry in entries] == [
        ("queued", "first-admin"),
        ("cancelled", "operator-0"),
    ]
    again = (await live.post(f"/jobs/{mine['id']}/retry", {}, operator)).body
    assert again["submitted_by"]["name"] == "operator-0"
    (entry,) = (await live.get(f"/jobs/{again['id']}/timeline")).body["items"]
    assert entry["detail"] == f"retry of {mine['id']}"


async def test_keys_of_different_tokens_do_not_know_each_other(live: Live) -> None:
    operator = await live.token_for("operator")
    key = {"Idempotency-Key": "nightly"}
    mine = await live.post("/jobs", TRUE, headers=key)
    theirs = await live.post("/jobs", {"command": ["false"]}, operator, headers=key)
    assert (mine.status, theirs.status) == (201, 201)
    assert (await live.post("/jobs", TRUE, headers=key)).body["id"] == mine.body["id"]
    again = await live.post("/jobs", {"command": ["false"]}, operator, headers=key)
    assert (again.status, again.body["id"]) == (200, theirs.body["id"])


async def test_viewers_see_names_of_variables_and_no_values(live: Live) -> None:
    viewer = await live.token_for("viewer")
    env = {"PASSWORD": "hunter2", "B": "x" * 5000}
    ids = (await live.post("/jobs/batch", {"jobs": [{**TRUE, "env": env}] * 2})).body["ids"]
    small = (await live.post("/jobs", {**TRUE, "env": {"PASSWORD": "hunter2"}})).body["id"]
    key = await run_job(live.services.store, now=time.time(), env={"PASSWORD": "hunter2"})
    paths = ["/jobs", "/jobs?state=queued", f"/jobs?id={small}", "/events"]
    paths += [f"/jobs/{job}{more}" for job in (*ids, small, key.job) for more in ("", "/timeline")]
    for path in paths:
        seen = (await live.get(path, viewer)).text
        assert "hunter2" not in seen, path
        assert "xxxx" not in seen, path
    assert (await live.get(f"/jobs/{ids[0]}", viewer)).body["env"] == {
        "PASSWORD": "(hidden)",
        "B": "(hidden)",
    }
    assert (await live.get(f"/jobs/{ids[0]}")).body["env"] == env


async def test_lists_hold_no_script_and_no_long_environment(live: Live) -> None:
    big = {"shell": "bash", "script": "echo " + "x" * 900_000, "env": {"A": "y" * 90_000}}
    assert (await live.post("/jobs", big)).status == 201
    answer = await live.get("/jobs")
    assert len(answer.text) < 10_000
    (listed,) = answer.body["items"]
    assert listed["abridged"] == ["script", "env"]
    assert listed["script"].startswith("echo xxx")
    shown = (await live.get(f"/jobs/{listed['id']}")).body
    assert (shown["script"], shown["env"], shown["abridged"]) == (big["script"], big["env"], [])


async def test_lists_are_filtered_by_everything(live: Live) -> None:
    made = []
    for number in range(4):
        body = {**TRUE, "name": f"Night {number}", "labels": {"zone": f"a,{number % 2}"}}
        body["annotations"] = {"run": str(number)}
        made.append((await live.post("/jobs", body)).body["id"])
    await live.post(f"/jobs/{made[0]}/cancel")

    async def ids(query: str) -> list[str]:
        return [job["id"] for job in (await live.get(f"/jobs?{query}")).body["items"]]

    assert await ids("state=cancelled,queued") == made[::-1]
    assert await ids("state=cancelled&state=succeeded") == made[:1]
    assert await ids("name=night%202") == [made[2]]
    assert await ids("label=zone") == made[::-1]
    assert await ids("label=zone=a,1") == [made[3], made[1]]
    assert await ids("label=zone=a,1&label=other") == []
    assert await ids("annotation=run=2") == [made[2]]
    assert await ids("annotation=run=2&label=zone=a,1") == []
    assert await ids(f"id={made[1][-7:].lower()}") == [made[1]]
    assert await ids("since=1h&until=2020-01-01T00:00:00Z") == []
    assert await ids("since=1h") == made[::-1]
    assert await ids("until=1h") == []
    assert await ids("since=2020-01-01T00:00:00%2B01:00") == made[::-1]
    wrong = await live.get("/jobs?since=yesterday&id=a_b&label=")
    faults = {fault["field"] for fault in wrong.problem(422, "validation")["errors"]}
    assert faults >= {"since", "id"}


async def test_a_job_is_explained_without_being_submitted(live: Live) -> None:
    viewer = await live.token_for("viewer")
    body = (await live.post("/jobs/explain", TRUE, viewer)).body
    assert (body["outlook"], body["reason"]) == ("never", "no agent serves queue 'default'")
    token = await live.register("a")
    assert (await live.post("/jobs/explain", TRUE, viewer)).body["outlook"] == "blocked"
    async with live.connect(token):
        found = await live.post("/jobs/explain", TRUE, viewer)
        assert (found.status, found.body["outlook"]) == (200, "now")
        assert JobExplanation.model_validate(found.body).candidates[0].agent == "a"
    refused = (await live.post("/jobs/explain", {**TRUE, "queue": "q"}, viewer)).body
    assert (refused["outlook"], refused["refusals"][0]["code"]) == ("refused", "unknown_queue")
    bad = await live.post("/jobs/explain", {"command": [], "colour": 1, "priority": 10**6}, viewer)
    assert {e["field"] for e in bad.problem(422, "validation")["errors"]} >= {"colour", "priority"}
    live.services.reserve._measure = lambda: Disk(1 << 40, 0)
    live.services.reserve._looked_at = None
    assert (await live.post("/jobs/explain", TRUE, viewer)).body["outlook"] == "refused"
    assert (await live.get("/jobs")).body["items"] == []


async def test_a_list_is_stable_under_inserts_and_says_how_many_there_are(live: Live) -> None:
    await live.post("/jobs/batch", {"jobs": [TRUE] * 7})
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await live.get(f"/jobs?limit=3{cursor}")).body
        seen += [job["id"] for job in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
        await live.post("/jobs/batch", {"jobs": [TRUE] * 2})
    assert len(seen) == len(set(seen)) == 7
    assert (await live.get("/jobs?state=queued&queue=default")).body["total"] == 11
    assert (await live.get("/jobs?state=failed")).body["total"] == 0
    assert (await live.get("/jobs?name=x")).body["total"] is None


async def test_a_job_continues_the_trace_of_whoever_submits_it(live: Live) -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    other = given.replace("b7ad", "b7ae")

    async def shown(body: dict[str, object], header: str | None) -> dict[str, object]:
        headers = {"traceparent": header} if header else {}
        made = await live.post("/jobs", {"command": ["true"], **body}, headers=headers)
        assert made.status == 201, made.text
        found: dict[str, object] = (await live.get(f"/jobs/{made.body['id']}")).body
        return found

    by_header = await shown({}, given)
    assert (by_header["traceparent"], by_header["trace_id"]) == (given, given.split("-")[1])
    assert (await shown({"traceparent": other}, given))["traceparent"] == other
    # A header that means nothing begins a new trace; a field is a mistake, and named.
    own = await shown({}, "00-nonsense")
    assert own.get("traceparent") is None
    assert own["trace_id"] == trace_of(str(own["id"]), None).id
    batch = {"jobs": [{"command": ["true"]}, {"command": ["true"], "traceparent": other}]}
    made = await live.post("/jobs/batch", batch, headers={"traceparent": given})
    both = [(await live.get(f"/jobs/{job}")).body["traceparent"] for job in made.body["ids"]]
    assert both == [given, other]
    # A retry belongs to whoever asks for it, not to the trace of the first one.
    key = await run_job(live.services.store, traceparent=given)
    await finish(live.services.store, key, 3)
    assert (await live.post(f"/jobs/{key.job}/retry")).body["traceparent"] is None
    headers = {"traceparent": other}
    retried = await live.post(f"/jobs/{key.job}/retry", headers=headers)
    assert retried.body["traceparent"] == other
    refused = await live.post("/jobs", {"command": ["true"], "traceparent": "nonsense"})
    assert refused.problem(422, "validation")["errors"][0]["field"] == "traceparent"
