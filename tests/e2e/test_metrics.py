"""Metrics of a real server and of a real agent, as Prometheus would ask for them."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families as parse

from remote_protocol.trace import Part, span_of, traceparent_for
from tests.support.collector import collector
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


def test_an_agent_sends_its_metrics_where_it_is_told_to(stack: Stack) -> None:
    with collector() as found, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(60)
        stack.agent(
            "a",
            REMOTE_AGENT_TELEMETRY_OTLP=found.url,
            REMOTE_AGENT_TELEMETRY_STATSD=f"127.0.0.1:{receiver.getsockname()[1]}",
            REMOTE_AGENT_TELEMETRY_INTERVAL="1s",
        )
        stack.run("exit 3")
        seen: list[bytes] = []
        while b"remote_agent_jobs_total:1|c|#agent:a,end_reason:exit" not in seen:
            seen += receiver.recv(65536).split(b"\n")

        def counted() -> bool:
            metric = found.metrics.get("remote_agent_jobs_total")
            return metric is not None and [p.as_double for p in metric.sum.data_points] == [1]

        until(counted, "the job's end at the collector")
    assert found.about["service.instance.id"] == "a"
    assert b"remote_agent_connected:1|g|#agent:a" in seen


def test_a_job_gets_the_trace_that_it_continues(stack: Stack) -> None:
    stack.agent("a")
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    job = stack.run("echo $TRACEPARENT", traceparent=given)
    said = stack.client.log(job.id).decode().strip()
    assert said == traceparent_for(job.id, 1, given)
    assert said.split("-")[1] == given.split("-")[1]


def test_remotectl_continues_the_trace_of_its_environment(stack: Stack) -> None:
    stack.agent("a")
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    echo = ("run", "--", "sh", "-c", "echo $TRACEPARENT")
    done = stack.ctl(*echo, check=True, TRACEPARENT=given)
    (job,) = stack.ctl_json("job", "list")["items"]
    assert done.stdout.decode().strip() == traceparent_for(job["id"], 1, given)
    # What is none begins a new trace, as the recommendation wants it.
    done = stack.ctl(*echo, check=True, TRACEPARENT=f"00-{'0' * 32}-b7ad6b7169203331-01")
    newest = stack.ctl_json("job", "list")["items"][0]
    assert done.stdout.decode().strip() == traceparent_for(newest["id"], 1, None)


def test_the_trace_of_a_job_and_all_metrics_reach_a_collector(tmp_path: Path) -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    _, trace, caller, _ = given.split("-")
    with collector() as found, Stack(tmp_path, TELEMETRY_OTLP=found.url) as stack:
        stack.start_server()
        stack.agent("a")
        answer = httpx.post(
            f"{stack.url}/api/v1/jobs",
            headers={"Authorization": f"Bearer {stack.admin_token}", "traceparent": given},
            json={"command": ["sh", "-c", "echo $TRACEPARENT"], "env": {"PASSWORD": "hunter2"}},
            timeout=60,
            trust_env=False,
        )
        assert answer.status_code == 201, answer.text
        job = answer.json()["id"]
        until(lambda: len(found.spans) == 6 and found.metrics, "six spans, and metrics")
        said = stack.client.log(job).decode().strip()
        shown = scraped(f"{stack.url}/metrics", stack.admin_token)
    spans = {span.name: span for span in found.spans}
    whole = spans.pop("job")
    assert spans.keys() == {"submit", "queue", "dispatch", "run", "upload"}
    assert {span.trace_id.hex() for span in found.spans} == {trace}
    assert whole.parent_span_id.hex() == caller
    assert all(span.parent_span_id == whole.span_id for span in spans.values())
    assert said == f"00-{trace}-{spans['run'].span_id.hex()}-01"
    assert spans["run"].span_id.hex() == span_of(job, Part.RUN, 1)
    last = spans["upload"]
    assert last.start_time_unix_nano == spans["run"].end_time_unix_nano
    assert last.end_time_unix_nano == whole.end_time_unix_nano
    assert not any("hunter2" in str(span) for span in found.spans)
    names = {series.partition("/")[0] for series in shown}
    assert {name for name in names if name.startswith("remote_spans")}
    assert found.metrics.keys() >= {"remote_jobs", "remote_dispatch_seconds"}


def test_every_metric_has_its_row_in_the_guide(stack: Stack) -> None:
    port = free_port()
    stack.agent("a", REMOTE_AGENT_TELEMETRY_LISTEN=f"127.0.0.1:{port}")
    stack.run("exit 3")
    guide = Path(__file__).parents[2] / "docs" / "monitoring.md"
    rows = "\n".join(
        line for line in guide.read_text(encoding="utf-8").splitlines() if line[:1] == "|"
    )
    known = set(re.findall(r"[a-z][a-z_]+", rows))
    headers = {"Authorization": f"Bearer {stack.admin_token}"}
    for url in (f"{stack.url}/metrics", f"http://127.0.0.1:{port}/metrics"):
        text = httpx.get(url, headers=headers, timeout=30, trust_env=False).text
        named = set(re.findall(r"^# TYPE (remote_\w+)", text, re.MULTILINE))
        assert named
        assert named <= known
