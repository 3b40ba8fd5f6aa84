"""Health, version, front page."""

from __future__ import annotations

import pytest

import remote_server
from remote_protocol.api.server import VersionView
from remote_server.errors import StoreUnavailable
from remote_server.web import readiness
from tests.support.live_server import Live


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


async def test_anybody_may_ask_at_any_rate(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the database being written each time."""
    monkeypatch.setattr(readiness, "GOOD_FOR", 3600.0)  # A busy machine takes its time.
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
