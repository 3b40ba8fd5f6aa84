"""A journal in a state directory, and offers to put into it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remote_agent.config import Config
from remote_agent.journal import Journal
from remote_agent.journal.plan import Circumstances
from remote_protocol.attempt_id import AttemptId
from remote_protocol.ids import make_ulid
from remote_protocol.messages import Offer
from remote_protocol.spec import JobFile, JobSpec

HOST = Circumstances("host-1", os.environ, umask=0o022)
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


def with_files(offer: Offer, *paths: str) -> Offer:
    """The offer with files at paths that no server of ours lets through: another disk may take
    two names for one, and another server may check less."""
    files = [JobFile(path=path, content="") for path in paths]
    return offer.model_copy(update={"spec": offer.spec.model_copy(update={"files": files})})


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config.model_validate(
        {
            "state_dir": tmp_path / "state",
            "agent": {"durability": "normal"},
            "limits": {"min_free_disk": "1MiB"},
        }
    )


@pytest.fixture
def journal(config: Config) -> Journal:
    return Journal(config, HOST)
