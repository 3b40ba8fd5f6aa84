"""The instruments have the names that the contract promises."""

from __future__ import annotations

from remote_server.queries.gauges import Gauges


def test_names() -> None:
    gauges = Gauges()
    gauges.ended.add(1, "default", "exit")
    gauges.dispatch.observe(0.003)
    gauges.requests.observe(0.001, "GET", "/x", "200")
    text = gauges.render()
    assert 'remote_jobs_ended_total{queue="default",end_reason="exit"} 1' in text
    assert 'remote_dispatch_seconds_bucket{le="0.003"} 1' in text
    assert 'remote_http_request_seconds_count{method="GET",path="/x",status="200"} 1' in text
