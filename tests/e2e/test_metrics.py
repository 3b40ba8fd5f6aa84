"""Metrics of a real server and of a real agent, as Prometheus would ask for them."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families as parse

from remote_protocol.trace import traceparent_for
from tests.support.ports import free_port
from tests.support.stack import Stack, until


def scraped(url: str, token: str = "") -> dict[str, float]:
    """What is there; nothing while nobody answers."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.get(url, headers=headers, timeout=30, trust_env=False)
    except httpx.TransportError:
        return {}
    assert answer.status_code == 200, answer.text
    return {
        "/".join((sample.name, *sample.labels.values())): sample.value
        for family in parse(answer.text)
        for sample in family.samples
    }


def test_an_agent_serves_its_metrics_when_it_is_told_to(stack: Stack) -> None:
    port = free_port()
    where = f"http://localhost:{port}/metrics"
    stack.agent("a", REMOTE_AGENT_TELEMETRY_LISTEN=f"127.0.0.1:{port}")
    until(lambda: scraped(where).get("remote_agent_connected") == 1, "the agent's metrics")
    job = stack.run("echo hello; exit 3")
    assert job.exit_code == 3
    until(lambda: scraped(where).get("remote_agent_jobs_total/exit"), "the job's end")
    found = scraped(where)
    assert found["remote_agent_jobs_total/exit"] == 1
    assert found["remote_agent_capacity"] >= 1
    server = scraped(f"{stack.url}/metrics", stack.admin_token)
    assert server["remote_jobs_failed_total/default"] == 1
    assert server["remote_queue_wait_seconds_count/default"] == 1
    assert server["remote_queue_agents/default"] == 1
    assert scraped(f"{stack.url}/telemetry", stack.admin_token).keys() >= {
        "remote_queue_depth/default"
    }


def test_a_job_gets_the_trace_that_it_continues(stack: Stack) -> None:
    stack.agent("a")
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    job = stack.run("echo $TRACEPARENT", traceparent=given)
    said = stack.client.log(job.id).decode().strip()
    assert said == traceparent_for(job.id, 1, given)
    assert said.split("-")[1] == given.split("-")[1]
