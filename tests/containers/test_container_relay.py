"""A container with its host's network reaches a program behind the server by its job's relay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_protocol.states import EndReason, JobState
from tests.containers.conftest import BASE
from tests.containers.engine import Engine
from tests.support.behind_relay import BehindRelay
from tests.support.stack import Stack

CONFIG = '[containers]\nnetworks = ["none", "host"]\n'
PYTHON = """
import os, urllib.request
base = os.environ["API"]
print(urllib.request.urlopen(base + "hello").read().decode())
print("its address:", base)
with open(os.environ["REMOTE_MASK"], "w") as mask:
    mask.write("another secret\\n")
print("the file of masks is there")
"""


@pytest.fixture
def behind() -> Iterator[BehindRelay]:
    with BehindRelay() as program:
        yield program


@pytest.fixture
def stack(engine: Engine, behind: BehindRelay, tmp_path: Path) -> Iterator[Stack]:
    """A server with a relay; its agents find the engine."""
    file = tmp_path / "server.toml"
    file.write_text(
        f'[relay.api]\nurl = "{behind.url}"\nprefix = "/items/"\nqueues = ["default"]\n'
    )
    with Stack(tmp_path, CONFIG=str(file)) as stack:
        stack.everywhere["DOCKER_HOST"] = engine.env["DOCKER_HOST"]
        stack.start_server()
        yield stack


def test_the_host_network_reaches_the_relay(stack: Stack, behind: BehindRelay) -> None:
    stack.agent("alpha", config=CONFIG)
    words = ("--image", BASE, "--pull", "never", "--network", "host", "--relay", "api")
    api = ("--env", "API=${REMOTE_RELAY_URL}items/")
    done = stack.ctl("run", *words, *api, "--", "python3", "-c", PYTHON, check=True)
    said = done.stdout.decode()
    assert [asked.target for asked in behind.asked] == ["/items/hello"]
    # The secret in the address is masked here as in any job.
    assert "its address: ***" in said and "the file of masks is there" in said, said


def test_an_owner_who_does_not_allow_that_network_is_asked_first(
    stack: Stack, behind: BehindRelay
) -> None:
    stack.agent("alpha")
    job: dict[str, Any] = {"kind": "container", "image": BASE, "command": ["true"]}
    view = stack.run(deadline=60, **job, network="host", relay="api")
    assert (view.state, view.end_reason) == (JobState.FAILED, EndReason.REJECTED), view
    assert "does not give the network 'host' to containers" in (view.end_detail or "")
    assert behind.asked == []
