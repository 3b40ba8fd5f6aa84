"""acryl-executor itself, whose tasks are executed by an agent, with the real DataHub."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("acryl_program.py")
ENVIRONMENT = Path(os.environ.get("REMOTE_TEST_DATAHUB") or ".venv-datahub").absolute()
WAITING = """
import time
from datahub.ingestion.api.source import Source, SourceReport

class Waits(Source):
    def __init__(self, config, ctx):
        super().__init__(ctx)
    @classmethod
    def create(cls, config, ctx):
        return cls(config, ctx)
    def get_report(self):
        return SourceReport()
    def get_workunits(self):
        print("WAITING", flush=True)
        time.sleep(600)
        return []
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server, and an agent that has DataHub as its environment `native`."""
    with Stack(tmp_path_factory.mktemp("task")) as made:
        made.start_server()
        made.agent("alpha", config=f'[python]\nenvironments = {{ native = "{ENVIRONMENT}" }}\n')
        yield made


class Executor:
    """acryl-executor, in a process of its own for each request."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        token = folder / "token"
        token.write_text(stack.admin_token)
        self.stack = stack
        self.configs = {
            "url": stack.url,
            "token_file": str(token),
            "heartbeat_time_seconds": 0.2,
        }

    def execute(self, recipe: object, word: str = "", **asked: Any) -> Any:
        """What becomes of a request; `word`: it is killed when that is in the progress."""
        args = {"recipe": json.dumps(recipe), "version": "native", **asked.pop("args", {})}
        request = {"exec_id": uuid4().hex, "name": "RUN_INGEST", "args": args, **asked}
        words = [json.dumps(request), json.dumps(self.configs), word]
        path = os.pathsep.join(str(ROOT / dist) for dist in ("client", "protocol", "datahub"))
        done = subprocess.run(
            [ENVIRONMENT / "bin" / "python", PROGRAM, *words],
            env={**os.environ, "PYTHONPATH": path, "DATAHUB_TELEMETRY_ENABLED": "false"},
            capture_output=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)


@pytest.fixture
def executor(stack: Stack, tmp_path: Path) -> Executor:
    """acryl-executor with our task in its configuration."""
    return Executor(stack, tmp_path)


def test_it_ingests_and_reports(executor: Executor, tmp_path: Path) -> None:
    database, target = tmp_path / "shop.sqlite", tmp_path / "out.json"
    with sqlite3.connect(database) as base:
        base.execute("create table orders (id integer primary key)")
    config = {"platform": "sqlite", "connect_uri": f"sqlite:///{database}"}
    sink = {"type": "file", "config": {"filename": str(target)}}
    found = executor.execute({"source": {"type": "sqlalchemy", "config": config}, "sink": sink})
    assert found["state"] == "SUCCESS", found
    assert "orders" in target.read_text()
    report = json.loads(found["structured"])["source"]["report"]
    assert report["events_produced"] > 0
    assert "Pipeline finished successfully" in found["logs"]
    job = executor.stack.client.jobs().items[0]
    assert (job.kind, job.state) == ("datahub", "succeeded")


def test_a_failing_recipe_fails(executor: Executor) -> None:
    found = executor.execute(
        {"source": {"type": "file", "config": {}}, "sink": {"type": "console"}}
    )
    assert found["state"] == "FAILURE"
    assert "path" in str(found["errors"])


def test_a_connection_that_cannot_be_made(executor: Executor) -> None:
    config = {"platform": "sqlite", "connect_uri": "sqlite:////nowhere/at/all.db"}
    recipe = {"source": {"type": "sqlalchemy", "config": config}, "sink": {"type": "console"}}
    found = executor.execute(recipe, name="TEST_CONNECTION")
    assert found["state"] == "FAILURE"
    assert json.loads(found["structured"])["basic_connectivity"]["capable"] is False


def test_a_kill_from_datahub_ends_the_job(executor: Executor, tmp_path: Path) -> None:
    (tmp_path / "waiting.py").write_text(WAITING)
    recipe = {"source": {"type": "waiting.Waits", "config": {}}, "sink": {"type": "console"}}
    env = json.dumps({"PYTHONPATH": str(tmp_path)})
    found = executor.execute(recipe, word="WAITING", args={"extra_env_vars": env})
    assert found["state"] == "CANCELLED", found
    assert "WAITING" in found["logs"]
    assert executor.stack.client.jobs().items[0].state == "cancelled"
