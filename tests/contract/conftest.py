"""A real server with an agent and what the API can be asked for, and a token of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from remote_protocol.api.queues import QueueCreate
from remote_protocol.api.webhooks import WebhookCreate, WebhookEvent
from remote_protocol.ids import Role
from tests.support.stack import Stack

PACKAGES = Path(__file__).resolve().parents[2] / "build" / "contract" / "packages"
"""What the stage has installed: for processes of its own, not for the programs that it tests."""


@dataclass
class Site:
    """The server, and what there is to be asked for."""

    stack: Stack
    tokens: dict[str, str] = field(default_factory=dict)
    """By kind, and for API tokens by role."""
    kept: list[str] = field(default_factory=list)
    """Ids and names of what is needed to the end."""

    @property
    def document(self) -> str:
        """Where the OpenAPI document is."""
        return f"{self.stack.url}/api/v1/openapi.json"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site for all tests of the stage."""
    with Stack(tmp_path_factory.mktemp("contract")) as stack:
        stack.start_server()
        site = Site(stack, kept=["alpha", "default", "other"])
        client = stack.client
        client.create_queue(QueueCreate(name="other"))
        stack.agent("alpha", capacity=2)
        job = stack.run("echo out; echo err >&2; exit 3")
        stack.submit(command=["true"], queue="other")
        hook = WebhookCreate(
            name="hook", url="https://hooks.example.com/x", events=[WebhookEvent.JOB_ENDED]
        )
        client.create_webhook(hook)
        for role in Role:
            made = client.create_token(f"contract-{role.value}", role)
            site.tokens[role.value] = made.token
            site.kept.append(made.id)
        site.tokens["registration"] = stack.registration_token()
        site.kept += [job.id, *(token.id for token in client.token_page().items)]
        yield site
