"""Metrics for Prometheus."""

from __future__ import annotations

import time
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families as parse

import remote_server
from remote_protocol.states import AgentState
from tests.support.live_server import Live, config_for, running
from tests.support.stored import finish
from tests.support.stored import running as run_job


def samples(text: str) -> dict[str, float]:
    found = {}
    for family in parse(text):
        assert family.documentation and family.type != "unknown", family
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def test_metrics(live: Live) -> None:
    store = live.services.store
    key = await run_job(store, now=time.time())
    live.services.logs.append(key, b"x" * 70)
    await finish(store, key, 3, now=time.time())
    await live.post("/jobs", {"command": ["true"]})
    waiting = (await live.post("/jobs", {"command": ["true"]})).body["id"]
    await live.post(f"/jobs/{waiting}/cancel")
    await live.register("a")
    answer = await live.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = samples(answer.text)
    assert found['remote_jobs{state="queued",queue="default"}'] == 1
    assert found['remote_jobs{state="failed",queue="default"}'] == 1
    assert found['remote_queue_depth{queue="default"}'] == 1
    assert 0 <= found['remote_queue_oldest_seconds{queue="default"}'] < 20
    assert found['remote_agents{state="offline"}'] == 1
    assert found['remote_jobs_ended_total{queue="default",end_reason="exit"}'] == 1
    assert found['remote_jobs_ended_total{queue="default",end_reason="cancelled"}'] == 1
    assert found['remote_jobs_failed_total{queue="default"}'] == 1
    assert found['remote_queue_wait_seconds_count{queue="default"}'] == 1
    assert found["remote_commit_seconds_count"] >= 5
    assert 0 < found["remote_commit_seconds_sum"] < 600
    assert found[f'remote_server_info{{version="{remote_server.__version__}"}}'] == 1
    assert found["process_resident_memory_bytes"] > 1 << 20
    assert found["remote_log_bytes_total"] == 70
    assert found["remote_input_bytes_total"] == 0
    assert found["remote_dispatch_seconds_count"] == 1
    posts = 'remote_http_request_seconds_count{method="POST",path="/api/v1/jobs",status="201"}'
    assert found[posts] == 2


async def test_metrics_want_a_token_unless_opened(live: Live, tmp_path: Path) -> None:
    (await live.get("/metrics", "")).problem(401, "missing_token")
    assert (await live.get("/metrics", await live.token_for("viewer"))).status == 200
    config = config_for(tmp_path / "other", open_metrics=True)
    async with running(config) as other:
        assert (await other.get("/metrics", "")).status == 200
    (await live.get("/telemetry", "")).problem(401, "missing_token")
    twin = await live.get("/telemetry", await live.token_for("viewer"))
    assert twin.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "remote_queue_depth" in twin.text


async def test_series_end_with_their_agent_and_their_queue(live: Live) -> None:
    await live.post("/queues", {"name": "brief"})
    token = await live.register("a", queues=["default"])
    async with live.connect(token):
        found = samples((await live.get("/metrics")).text)
        assert found['remote_agents{state="online"}'] == 1
        assert found['remote_queue_agents{queue="default"}'] == 1
        assert found['remote_queue_agents{queue="brief"}'] == 0
        await live.ask("PATCH", "/queues/default", {"paused": True})
        await live.post("/agents/a/pause", {})
        found = samples((await live.get("/metrics")).text)
        assert found['remote_queue_paused{queue="default"}'] == 1
        assert found['remote_agents_held{condition="paused"}'] == 1
        assert found['remote_queue_agents{queue="default"}'] == 0
    waiting = (await live.post("/jobs", {"command": ["true"], "queue": "brief"})).body["id"]
    await live.post(f"/jobs/{waiting}/cancel")
    assert 'queue="brief"' in (await live.get("/metrics")).text
    await live.ask("DELETE", "/queues/brief")
    await live.ask("DELETE", "/agents/a")
    text = (await live.get("/metrics")).text
    assert "brief" not in text
    assert not any(samples(text)[f'remote_agents{{state="{state}"}}'] for state in AgentState)


async def test_many_agents_make_no_more_series(live: Live) -> None:
    few = samples((await live.get("/metrics")).text)
    for number in range(20):
        await live.register(f"host-{number}")
    many = samples((await live.get("/metrics")).text)
    assert many['remote_agents{state="offline"}'] == 20
    assert {name for name in many if not name.startswith("remote_http")} == {
        name for name in few if not name.startswith("remote_http")
    }
