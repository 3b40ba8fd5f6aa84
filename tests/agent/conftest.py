"""Offers and a configuration for the agent's tests. On Windows they run in the loop that the agent
uses; the default one watches no sockets."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remote_agent.config import Config
from remote_protocol.attempt_id import AttemptId
from remote_protocol.ids import make_ulid
from remote_protocol.messages import Offer
from remote_protocol.spec import JobSpec

if sys.platform == "win32":
    asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())

Offers = Callable[..., Offer]


@pytest.fixture
def offers() -> Offers:
    """Makes offers: `offers(["true"], attempt=2, timeout=5)`."""

    def make(command: list[str] | None = None, attempt: int = 1, **spec: Any) -> Offer:
        if "script" not in spec:
            spec["command"] = command or ["true"]
        job = make_ulid(1_700_000_000_000, os.urandom(10))
        return Offer(attempt=AttemptId(job, attempt), spec=JobSpec.model_validate(spec))

    return make


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config.model_validate(
        {
            "state_dir": tmp_path / "state",
            "agent": {"durability": "normal"},
            "limits": {"min_free_disk": "1MiB"},
        }
    )
