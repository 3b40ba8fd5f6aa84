"""An extension that only some programs have, with real processes: found, run, shown, kept apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.support.extensions import TOY
from tests.support.stack import Stack, until


@pytest.fixture
def toys(tmp_path: Path) -> Iterator[Stack]:
    """A server with the extension, an agent without it and one that has it."""
    with Stack(tmp_path) as stack:
        stack.server.env["PYTHONPATH"] = str(TOY)
        stack.start_server()
        stack.agent("plain")
        yield stack


def page(stack: Stack, path: str) -> str:
    request = Request(
        f"{stack.url}{path}", headers={"Authorization": f"Bearer {stack.admin_token}"}
    )
    with urlopen(request, timeout=30) as answer:
        return str(answer.read().decode())


def test_an_extension_reaches_every_program(toys: Stack) -> None:
    refused = toys.ctl("toy", "good day")
    assert refused.returncode == 2 and b"No such command 'toy'" in refused.stderr
    done = toys.ctl("toy", "good day", PYTHONPATH=str(TOY))
    assert done.returncode == 0, done.stderr
    job = done.stdout.decode().strip()

    # An agent that has not got it is never asked.
    assert document(toys, job)["state"] == "queued"
    explained = toys.ctl("job", "show", job)
    assert b"kind toy" in explained.stdout, explained.stdout

    toys.agent("playful", PYTHONPATH=str(TOY))
    until(lambda: document(toys, job)["state"] == "succeeded", "the toy is done")
    shown = document(toys, job)
    assert shown["agent"] == "playful" and shown["outputs"] == {"greeted": "good day"}
    assert b"good day from playful" in toys.client.log(job)
    assert json.loads(page(toys, "/api/v1/toys")) == {"toys": ["toy"]}
    described = json.loads(page(toys, "/api/v1/openapi.json"))
    assert {"ToySpec", "DatahubSpec"} <= set(described["components"]["schemas"])
    assert "/api/v1/toys" in described["paths"]


def document(stack: Stack, job: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(page(stack, f"/api/v1/jobs/{job}"))
    return found
