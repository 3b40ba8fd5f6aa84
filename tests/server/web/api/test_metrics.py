"""Metrics for Prometheus."""

from __future__ import annotations

import re
import time
from pathlib import Path

from tests.support.live_server import Live, config_for, running
from tests.support.stored import finish
from tests.support.stored import running as run_job

SAMPLE = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$")


def samples(text: str) -> dict[str, float]:
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            assert re.match(r"# (HELP|TYPE) remote_[a-z_]+ .+", line)
            continue
        match = SAMPLE.match(line)
        assert match, line
        found[line.rpartition(" ")[0]] = float(match[3])
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
