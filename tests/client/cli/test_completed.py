"""What shells are offered: through the program, as a shell asks for it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from remote_client.config import Access, save_access
from tests.support.fake_api import ID, TOKEN, FakeApi, job_view, problem


def offered(url: str, *words: str) -> list[str]:
    """What zsh gets for the last word, types and help left out."""
    env = {
        **os.environ, "REMOTE_URL": url, "REMOTE_TOKEN": TOKEN,
        "_REMOTECTL_COMPLETE": "fish_complete",
        "COMP_WORDS": " ".join(["remotectl", *words[:-1]]), "COMP_CWORD": words[-1],
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "remote_client"], capture_output=True, text=True, env=env,
        timeout=30, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    return [line.split(",", 1)[1].split("\t")[0] for line in lines if line.startswith("plain,")]


@pytest.fixture(autouse=True)
def known(api: FakeApi) -> None:
    api.on("GET", "/queues", {"items": [{"name": "default"}, {"name": "berlin"}]})
    api.on("GET", "/agents", {"items": [{"name": "web-7", "state": "online"}]})
    api.on("GET", "/jobs", {"items": [job_view(name="nightly")]})


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("run", "--queue", ""), ["default", "berlin"]),
        (("run", "--queue", "b"), ["berlin"]),
        (("run", "--agent", ""), ["web-7"]),
        (("queue", "show", "d"), ["default"]),
        (("agent", "pause", ""), ["web-7"]),
        (("job", "show", ""), [ID[-8:]]),
        (("job", "logs", ID[:6].lower()), [ID]),
        (("job", "list", "--state", "run"), ["running"]),
        (("ag",), ["agent"]),
    ],
)
def test_values(api: FakeApi, words: tuple[str, ...], wanted: list[str]) -> None:
    assert offered(api.url, *words) == wanted


def test_contexts(api: FakeApi) -> None:
    save_access(Access("https://b.example.com", TOKEN), "work")
    assert offered(api.url, "context", "use", "") == ["work"]
    assert offered(api.url, "job", "list", "--context", "w") == ["work"]


def test_failures_are_silent(api: FakeApi) -> None:
    api.on("GET", "/queues", problem(401, "invalid_token", "no"))
    assert offered(api.url, "run", "--queue", "") == []
    api.on("GET", "/queues", problem(503, "store_unavailable", "later"))
    assert offered(api.url, "run", "--queue", "") == []
    assert len(api.said("GET", "/queues")) == 2
    assert offered("http://127.0.0.1:1", "run", "--queue", "") == []
    assert offered("nonsense", "run", "--queue", "") == []
