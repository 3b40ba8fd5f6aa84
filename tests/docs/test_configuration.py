"""The configurations that the guides show have only sections and keys that the programs know."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest

from remote_server.config import Config, load
from tests.docs.test_blocks import BIN, ROOT, read

AGENTS, SERVER = ROOT / "docs" / "agents.md", ROOT / "docs" / "http-api.md"


def shown(document: Path) -> list[str]:
    return [block.text for block in read(document) if block.language == "toml"]


def test_the_server_takes_what_is_shown(tmp_path: Path) -> None:
    (text,) = shown(SERVER)
    file = tmp_path / "server.toml"
    file.write_text(text)
    load(file, {})
    # All sections are shown.
    assert set(tomllib.loads(text)) == set(Config.model_fields)


@pytest.mark.parametrize("text", shown(AGENTS))
def test_an_agent_knows_every_key_that_is_shown(tmp_path: Path, text: str) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(text)
    done = subprocess.run(
        [BIN / "remote-agent", "config", "--config", file, "--state-dir", tmp_path / "state"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    # A user that is shown need not exist here; keys and values must be right.
    said = [line for line in done.stderr.splitlines() if "builder" not in line]
    assert said == [] and done.returncode in (0, 2), done.stderr
