"""The alert rules, by Prometheus' own tools, and one of them in a real Prometheus."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.monitoring.conftest import Site, path_of
from tests.monitoring.expressions import RULES, rules
from tests.support.ports import free_port
from tests.support.stack import Program, until

TESTS = Path(__file__).with_name("rules.test.yml")
DEADLINE = 90.0


def promtool(*words: object) -> None:
    done = subprocess.run(
        [path_of("promtool"), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_them() -> None:
    promtool("check", "rules", RULES)


def test_each_fires_when_it_should_and_not_before() -> None:
    promtool("test", "rules", TESTS)


def test_each_is_tested_and_says_what_to_do() -> None:
    tested = {
        test["alertname"]
        for part in yaml.safe_load(TESTS.read_text(encoding="utf-8"))["tests"]
        for test in part["alert_rule_test"]
        if test.get("exp_alerts")
    }
    assert tested == {rule["alert"] for rule in rules()}
    for rule in rules():
        assert rule["annotations"].keys() == {"summary", "description"}
        assert rule["labels"]["severity"] in ("page", "ticket")


@contextmanager
def prometheus(site: Site, root: Path) -> Iterator[str]:
    """One that scrapes the server and the agent each second; the URL of its API. The rules are
    ours, but need not hold for minutes."""
    quick = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    for group in quick["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    (root / "rules.yml").write_text(yaml.safe_dump(quick))
    server = site.stack.url.removeprefix("http://")
    jobs = [
        {"job_name": name, "static_configs": [{"targets": [target]}]}
        for name, target in (("server", server), ("agent", f"127.0.0.1:{site.agent_port}"))
    ]
    every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config = {"global": every, "rule_files": ["rules.yml"], "scrape_configs": jobs}
    (root / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    command = [
        path_of("prometheus"),
        f"--config.file={root / 'prometheus.yml'}",
        f"--storage.tsdb.path={root / 'data'}",
        f"--web.listen-address={address}",
    ]
    program = Program("prometheus", command, site.stack.env(), root / "prometheus.log")
    program.start()
    try:
        yield f"http://{address}/api/v1"
    finally:
        program.kill()


def asked(url: str, **words: str) -> list[dict[str, Any]]:
    """What Prometheus answers; nothing before it is there."""
    try:
        answer = httpx.get(url, params=words, timeout=30, trust_env=False)
    except httpx.TransportError:
        return []
    if answer.status_code != 200:
        return []
    data = answer.json()["data"]
    found: list[dict[str, Any]] = data.get("result", data.get("alerts", []))
    return found


def test_an_alert_fires_in_a_real_prometheus(site: Site, tmp_path: Path) -> None:
    with prometheus(site, tmp_path) as url:

        def firing() -> set[tuple[str, str]]:
            return {
                (alert["labels"]["alertname"], alert["labels"].get("queue", ""))
                for alert in asked(f"{url}/alerts")
                if alert["state"] == "firing"
            }

        def scraped() -> set[str]:
            up = asked(f"{url}/query", query="up == 1")
            return {series["metric"]["job"] for series in up}

        until(lambda: scraped() == {"server", "agent"}, "both scraped", DEADLINE)
        until(lambda: asked(f"{url}/query", query="remote_agent_connected == 1"), "", DEADLINE)
        assert ("RemoteQueueWithoutAgents", "lonely") not in firing()
        site.stack.ctl("queue", "create", "lonely")
        job = site.stack.submit("true", queue="lonely")
        until(lambda: ("RemoteQueueWithoutAgents", "lonely") in firing(), "the alert", DEADLINE)
        site.stack.client.cancel(job.id)
        until(lambda: ("RemoteQueueWithoutAgents", "lonely") not in firing(), "its end", DEADLINE)
