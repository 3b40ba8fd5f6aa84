"""The commands of docs/install-containers.md, as they stand and in their order, beside the images;
then what its compose file has brought."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.engine import ROOT, Engine, until
from tests.docs.blocks import blocks

DOCUMENT = ROOT / "docs" / "install-containers.md"
COMPOSE = ("docker", "compose", "-f", "installers/container/compose.yaml")
_DOCKER = """#!/bin/sh
# Debian 12 has docker-compose, version 1, and no `docker compose`.
[ "$1" = compose ] && shift && exec docker-compose "$@"
exec /usr/bin/docker "$@"
"""


@pytest.fixture(scope="module")
def shell(images: Engine) -> Iterator[dict[str, str]]:
    """The environment of a shell that has `docker`, and `remotectl` of this checkout."""
    programs = images.folder / "bin"
    programs.mkdir()
    (programs / "docker").write_text(_DOCKER)
    (programs / "docker").chmod(0o755)
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**images.env, "PATH": path, "COMPOSE_PROJECT_NAME": "test"}
    yield env
    for words in (("logs", "--no-color"), ("down", "-v", "-t", "5")):
        subprocess.run([*COMPOSE, *words], env=env, cwd=ROOT, check=False)


def test_what_the_page_says_works(shell: dict[str, str]) -> None:
    found = [block for block in blocks(DOCUMENT.read_text()) if block.language == "sh"]
    run = [block for block in found if not block.not_run]
    assert len(run) > 4 and len(found) - len(run) <= 2
    for block in run:
        done = subprocess.run(
            ["sh", "-e", "-c", block.text],
            cwd=ROOT,
            env=shell,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=800,
            check=False,
        )
        said = f"line {block.line} of {DOCUMENT.name}:\n{done.stdout}{done.stderr}"
        assert done.returncode == 0, said


def test_the_stack_is_gone_after_down(shell: dict[str, str], images: Engine) -> None:
    """The page ends with it."""
    assert images.call("ps", "-aq", "--filter", "label=com.docker.compose.project=test") == ""
    found = images.call("volume", "ls", "-q").split()
    assert [name for name in found if name.startswith("test_")] == []


def test_the_stack_comes_back_and_enrols_once(shell: dict[str, str], images: Engine) -> None:
    def compose(*words: str) -> str:
        done = subprocess.run(
            [*COMPOSE, *words], env=shell, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def names() -> list[str]:
        token = "REMOTE_TOKEN_FILE=/var/lib/remote-server/admin-token"
        url = "REMOTE_URL=http://127.0.0.1:8750"
        words = ("exec", "-T", "server", "env", token, url, "remotectl", "agent", "list")
        items = json.loads(compose(*words, "--output", "json"))["items"]
        return [row["name"] for row in items if row["state"] == "online"]

    compose("up", "-d")
    until(lambda: names() == ["compose-agent"], "the agent is online")
    compose("down", "-t", "10")
    compose("up", "-d")
    until(lambda: names() == ["compose-agent"], "the agent is online again")
    compose("down", "-v", "-t", "10")
