"""A real server and agent, and what they expose."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.support.ports import free_port
from tests.support.stack import Stack, until

_EXTRACTED = Path(__file__).parents[2] / "build" / "monitoring" / "usr" / "bin"


def path_of(name: str) -> str:
    """The path of a program of Prometheus: of what set_up.sh extracted, else the host's."""
    found = shutil.which(name, path=f"{_EXTRACTED}{os.pathsep}{os.environ['PATH']}")
    assert found is not None, f"there is no {name}: make test-monitoring fetches it"
    return found


@dataclass
class Site:
    """A server that has done something, and its agent."""

    stack: Stack
    agent_port: int

    def exposed(self) -> dict[str, set[str]]:
        """Each metric that server and agent have now, with its labels."""
        found: dict[str, set[str]] = {}
        headers = {"Authorization": f"Bearer {self.stack.admin_token}"}
        for url in (f"{self.stack.url}/metrics", f"http://127.0.0.1:{self.agent_port}/metrics"):
            text = httpx.get(url, headers=headers, timeout=30, trust_env=False).text
            for family in parse(text):
                for sample in family.samples:
                    found.setdefault(sample.name, set()).update(sample.labels)
        return found


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    port = free_port()
    with Stack(tmp_path_factory.mktemp("site"), OPEN_METRICS="true") as stack:
        stack.start_server()
        stack.agent("a", REMOTE_AGENT_TELEMETRY_LISTEN=f"127.0.0.1:{port}")
        assert stack.run("exit 3").exit_code == 3
        made = Site(stack, port)
        until(lambda: "remote_agent_jobs_total" in made.exposed(), "metrics of an ended job")
        yield made
