"""The calls for a DataHub control plane, on a real server."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import EndReason
from tests.support.live_server import Live, config_for, running
from tests.support.stored import finish, started

RECIPE = {"source": {"type": "file", "config": {"path": "x", "token": "${DB_TOKEN}"}}}
ASKED: dict[str, Any] = {
    "executor_id": "default",
    "exec_id": "3f0e6a1c-5d0b-4c2e-9d6e-0b8f6f1d2a77",
    "name": "RUN_INGEST",
    "args": {"recipe": json.dumps(RECIPE), "version": "1.2.0.3", "debug_mode": "false"},
}
EXECUTIONS = "/datahub/executions"
KILL = {"exec_id": ASKED["exec_id"], "executor_id": "default", "signal": "KILL"}


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    """A running server."""
    async with running(config_for(tmp_path)) as found:
        yield found


async def begun(live: Live, job: str, agent: str = "a") -> AttemptId:
    """Have an agent start a job."""
    now = time.time()
    (lease,) = await live.services.store.assign([(job, agent)], now)
    return await started(live.services.store, lease, now)


def line(text: str) -> bytes:
    return f"2026-11-21T03:04:05.123456789Z stdout F {text}\n".encode()


async def test_the_same_request_makes_one_job_and_another_one_is_a_conflict(live: Live) -> None:
    first = await live.post(EXECUTIONS, ASKED)
    assert first.status == 201, first.text
    assert first.body["status"] == "PENDING"
    job = first.body["job"]
    assert first.headers["Location"] == f"/api/v1/datahub/executions/{job}"
    again = await live.post(EXECUTIONS, ASKED)
    assert (again.status, again.body["job"]) == (200, job)
    other = {**ASKED, "args": {**ASKED["args"], "debug_mode": "true"}}
    conflict = await live.post(EXECUTIONS, other)
    assert ASKED["exec_id"] in conflict.problem(409, "conflict")["detail"]
    shown = (await live.get(f"/jobs/{job}")).body
    assert (shown["kind"], shown["task"], shown["queue"]) == ("datahub", "RUN_INGEST", "default")
    assert shown["secrets"] == ["DB_TOKEN"]
    found = (await live.get(f"/jobs?annotation=datahub.exec_id={ASKED['exec_id']}")).body["items"]
    assert [item["id"] for item in found] == [job]


async def test_the_log_says_who_asked_and_not_what_for(live: Live) -> None:
    args = {**ASKED["args"], "extra_env_vars": {"WAREHOUSE": "quiet-part"}}
    with capture_logs() as lines:
        assert (await live.post(EXECUTIONS, {**ASKED, "args": args})).status == 201
    (line,) = [line for line in lines if line["event"] == "change"]
    assert (line["by"], line["path"]) == ("first-admin", "/api/v1/datahub/executions")
    assert "quiet-part" not in str(lines) and "source" not in str(lines)


async def test_a_request_without_an_id_gets_one(live: Live) -> None:
    asked = {name: value for name, value in ASKED.items() if name != "exec_id"}
    one, two = [(await live.post(EXECUTIONS, asked)).body for _ in range(2)]
    assert one["exec_id"] != two["exec_id"]
    assert (await live.get(f"{EXECUTIONS}/{one['exec_id']}")).body["job"] == one["job"]


async def test_an_execution_goes_through_its_states(live: Live) -> None:
    await live.register("a")
    job = (await live.post(EXECUTIONS, ASKED)).body["job"]
    path = f"{EXECUTIONS}/{ASKED['exec_id']}"
    key = await begun(live, job)
    live.services.logs.append(key, b"".join(line(f"line {n}") for n in range(30)))
    now = (await live.get(path)).body
    assert (now["status"], now["result"]["status"]) == ("RUNNING", "RUNNING")
    assert now["result"]["executorInstanceId"] == "a"
    assert now["result"]["report"].endswith("line 28\nline 29\n")
    two = (await live.get(f"{path}?lines=2")).body["result"]["report"]
    assert two.endswith("[earlier logs truncated...]\nline 28\nline 29\n")
    assert "line 29" not in (await live.get(f"{path}?lines=0")).text
    await finish(live.services.store, key, 3, now=time.time())
    done = (await live.get(f"{EXECUTIONS}/{job}")).body
    assert (done["status"], done["exec_id"]) == ("FAILURE", ASKED["exec_id"])
    assert done["infos"][-1].endswith("Failed to execute 'datahub ingest', exit code 3")
    assert done["result"]["durationMs"] >= 0


async def test_bytes_that_are_no_text_do_not_matter(live: Live) -> None:
    await live.register("a")
    job = (await live.post(EXECUTIONS, ASKED)).body["job"]
    key = await begun(live, job)
    live.services.logs.append(
        key, line("before") + b"2026-11-21T03:04:05.123456789Z stdout F \xff\n"
    )
    report = (await live.get(f"{EXECUTIONS}/{job}")).body["result"]["report"]
    assert report.endswith("before\n\ufffd\n")


async def test_a_kill_cancels_the_job_and_again_changes_nothing(live: Live) -> None:
    await live.register("a")
    job = (await live.post(EXECUTIONS, ASKED)).body["job"]
    key = await begun(live, job)
    asked = await live.post("/datahub/signals", KILL)
    assert (asked.status, asked.body["status"]) == (202, "RUNNING")
    assert (await live.post("/datahub/signals", KILL)).status == 202
    await finish(live.services.store, key, 143, EndReason.CANCELLED, now=time.time())
    over = await live.post("/datahub/signals", KILL)
    assert (over.status, over.body["status"]) == (200, "CANCELLED")
    assert "cancelled by a KILL signal of DataHub's" in json.dumps(
        (await live.get(f"/jobs/{job}/timeline")).body
    )


async def test_a_kill_of_one_that_waits_ends_it_at_once(live: Live) -> None:
    await live.post(EXECUTIONS, ASKED)
    killed = await live.post("/datahub/signals", {**KILL, "executor_id": None})
    assert (killed.status, killed.body["status"]) == (200, "CANCELLED")


async def test_what_is_no_execution_is_not_found(live: Live) -> None:
    job = (await live.post("/jobs", {"command": ["true"], "idempotency_key": "plain"})).body["id"]
    for name in ("nobody", "plain", job, "01ARZ3NDEKTSV4RRFFQ69G5FAV"):
        (await live.get(f"{EXECUTIONS}/{name}")).problem(404, "not_found")
        (await live.post("/datahub/signals", {**KILL, "exec_id": name})).problem(404, "not_found")
    await live.post(EXECUTIONS, ASKED)
    elsewhere = await live.post("/datahub/signals", {**KILL, "executor_id": "berlin"})
    detail = elsewhere.problem(404, "not_found")["detail"]
    assert "there is no execution in the pool berlin" in detail


async def test_ids_of_different_tokens_do_not_know_each_other(live: Live) -> None:
    job = (await live.post(EXECUTIONS, ASKED)).body["job"]
    other = await live.token_for("operator")
    path = f"{EXECUTIONS}/{ASKED['exec_id']}"
    detail = (await live.get(path, other)).problem(404, "not_found")["detail"]
    assert "by the id of its job" in detail
    assert (await live.get(f"{EXECUTIONS}/{job}", other)).body["exec_id"] == ASKED["exec_id"]
    assert (await live.post(EXECUTIONS, ASKED, other)).status == 201


async def test_viewers_look_and_do_nothing_else(live: Live) -> None:
    job = (await live.post(EXECUTIONS, ASKED)).body["job"]
    viewer = await live.token_for("viewer")
    assert (await live.get(f"{EXECUTIONS}/{job}", viewer)).status == 200
    (await live.post(EXECUTIONS, ASKED, viewer)).problem(403, "forbidden")
    (await live.post("/datahub/signals", KILL, viewer)).problem(403, "forbidden")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"executor_id": "nowhere"}, "there is no queue 'nowhere'"),
        ({"name": "RUN_ASSERTION"}, "name: input should be 'RUN_INGEST' or 'TEST_CONNECTION'"),
        ({"args": {}}, "args.recipe: field required"),
        ({"args": {"recipe": "no: json"}}, "args.recipe: the recipe is not JSON"),
        ({"args": {**ASKED["args"], "version": "../x"}}, "args.version: "),
        (
            {"args": {**ASKED["args"], "extra_pip_requirements": ["-r /etc/passwd"]}},
            "args.extra_pip_requirements: ",
        ),
        (
            {"args": {**ASKED["args"], "extra_env_vars": {"EXECUTOR_TASK_WEIGHT": "9"}}},
            "EXECUTOR_TASK_WEIGHT in extra_env_vars is a number above 0, up to 1, not '9'",
        ),
        (
            {"args": {**ASKED["args"], "extra_env_vars": {"DB_PASSWORD": "hunter2-hunter2"}}},
            "DB_PASSWORD looks like a secret in plain text",
        ),
    ],
)
async def test_bad_requests_are_named_in_words(
    live: Live, change: dict[str, Any], said: str
) -> None:
    answer = await live.post(EXECUTIONS, {**ASKED, **change})
    assert answer.status == 422, answer.text
    assert said in answer.body["detail"]
    assert "hunter2" not in answer.text
    assert (await live.get("/jobs")).body["items"] == []


async def test_a_request_that_is_too_large_is_not_read(live: Live) -> None:
    asked = {**ASKED, "args": {"recipe": " " * (4 << 20)}}
    (await live.post(EXECUTIONS, asked)).problem(413, "body_too_large")
    asked = {**ASKED, "args": {"recipe": "{" + " " * 300_000 + "}"}}
    assert (
        "args.recipe" in (await live.post(EXECUTIONS, asked)).problem(422, "validation")["detail"]
    )
