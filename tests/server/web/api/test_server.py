"""Health, version, metrics, front page."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

import remote_server
from remote_protocol.api import VersionView
from remote_server.errors import StoreUnavailable
from tests.support.live_server import Live, config_for, running
from tests.support.stored import finish
from tests.support.stored import running as run_job


async def test_health_needs_no_token(live: Live) -> None:
    for path in ("/healthz", "/readyz"):
        answer = await live.get(path, "")
        assert (answer.status, answer.body) == (200, {"status": "ok", "detail": ""})


async def test_readiness_ends_with_the_database_and_at_the_stop(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(live.services.store, "probe", away)
        said = (await live.get("/readyz", "")).problem(503, "store_unavailable")
        assert said["detail"] == "nothing can be stored: the disk is full"
        assert (await live.get("/healthz", "")).status == 200
    live.services.followers.close()
    (await live.get("/readyz", "")).problem(503, "store_unavailable")


async def test_version(live: Live) -> None:
    view = VersionView.model_validate((await live.get("/version", "")).body)
    assert (view.product, view.version) == ("remote-server", remote_server.__version__)


async def test_the_front_page_leads_on(live: Live) -> None:
    async with live.session.get(live.url, headers={"Accept": "text/html,*/*;q=0.8"}) as page:
        assert page.content_type == "text/html"
        assert "/api/v1/openapi.json" in await page.text()
    async with live.session.get(live.url) as page:
        assert (await page.json())["openapi"] == "/api/v1/openapi.json"


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


async def test_anybody_may_ask_at_any_rate(live: Live) -> None:
    """Without the database being written each time."""
    probes = 0
    probe = live.services.store.probe

    async def counted() -> None:
        nonlocal probes
        probes += 1
        await probe()

    live.services.store.probe = counted
    for _ in range(100):
        assert (await live.get("/readyz", "")).status == 200
    assert probes <= 10
