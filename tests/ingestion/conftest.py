"""A stack of real processes, and an environment with the real acryl-datahub, made beforehand
(`make test-datahub`): REMOTE_TEST_DATAHUB names its folder."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_protocol.api.jobs import JobView
from tests.support.stack import Agent, Stack

ENVIRONMENT = Path(os.environ.get("REMOTE_TEST_DATAHUB") or ".venv-datahub").absolute()
CONFIG = (
    f'[python]\nenvironments = {{ real = "{ENVIRONMENT}" }}\n[secrets]\nenv_allow = ["SECRET_*"]\n'
)
VALUE = "r0undabout-Qx7"
"""Of the secret SECRET_VALUE, which the agent's environment has."""
TITLES = ("orders", "customers")


class Ingestion:
    """An agent that runs recipes with the real DataHub, and what becomes of them."""

    def __init__(self, stack: Stack, root: Path) -> None:
        self.stack, self.root = stack, root
        self.agent: Agent = stack.agent("alpha", config=CONFIG, SECRET_VALUE=VALUE)
        self.events = root / "events.json"
        self.events.write_text(json.dumps([status(f"s.t{number}") for number in range(10)]))
        self.database = root / "shop.sqlite"
        with sqlite3.connect(self.database) as base:
            for title in TITLES:
                base.execute(f"create table {title} (id integer primary key, name text)")

    def run(self, recipe: object, deadline: float = 100, **fields: Any) -> JobView:
        """A job's end."""
        return self.stack.client.wait(self.submit(recipe, **fields), deadline)

    def submit(self, recipe: object, **fields: Any) -> str:
        text = recipe if isinstance(recipe, str) else json.dumps(recipe)
        fields = {"kind": "datahub", "environment": "real", "recipe": text, **fields}
        return str(self.stack.submit(**fields).id)

    def log(self, job: JobView) -> str:
        return self.stack.client.log(job.id).decode()

    def from_file(self) -> dict[str, Any]:
        return {"type": "file", "config": {"path": str(self.events)}}

    def from_sqlite(self, **more: Any) -> dict[str, Any]:
        uri = f"sqlite:///{self.database}"
        return {"type": "sqlalchemy", "config": {"platform": "sqlite", "connect_uri": uri, **more}}


def status(name: str) -> dict[str, Any]:
    """An event about a dataset, as files of DataHub have it."""
    return {
        "entityType": "dataset",
        "entityUrn": f"urn:li:dataset:(urn:li:dataPlatform:sqlite,{name},PROD)",
        "changeType": "UPSERT",
        "aspectName": "status",
        "aspect": {"json": {"removed": False}},
    }


@pytest.fixture(scope="module")
def ingestion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingestion]:
    root = tmp_path_factory.mktemp("ingestion")
    with Stack(root) as stack:
        stack.start_server()
        yield Ingestion(stack, root)
