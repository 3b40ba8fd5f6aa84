"""schemathesis plays the document against the real server, as an admin, a viewer and nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.conftest import PACKAGES, Site

ROOT = Path(__file__).resolve().parents[2]
SEED = os.environ.get("SEED", "1")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
    "unsupported_method",
    "use_after_free",
    "ensure_resource_availability",
)
"""Not those that judge which values are refused: numbers are taken as texts, too, and rules between
fields are no part of a schema. `make fuzz` looks after spoiled requests."""
WEBSOCKETS = ("open_agent_session", "open_agent_probe")
"""Calls that answer with another protocol."""
LARGE = ("submit_job", "submit_jobs", "explain_job")
"""Calls whose bodies may be megabytes: each bound of each field in turn takes minutes, so they are
played with random bodies only."""
LONGEST = 1200
"""Seconds after which a run is taken to hang."""


def play(
    site: Site, token: str, folder: Path, *options: object
) -> subprocess.CompletedProcess[str]:
    """Run schemathesis as the bearer of a token; none when it is empty."""
    signed = ["-H", f"Authorization: Bearer {token}"] if token else []
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", site.document),
        *("--url", site.stack.url, "--seed", SEED, "--warnings", "off"),
        *("--checks", ",".join(CHECKS), "--request-timeout", "120", "--continue-on-failure"),
        *(word for name in WEBSOCKETS for word in ("--exclude-operation-id", name)),
        *signed,
        *map(str, options),
    ]
    env = {
        **os.environ,
        "PYTHONPATH": f"{PACKAGES}:{ROOT}",
        "SCHEMATHESIS_HOOKS": "tests.contract.hooks",
        "CONTRACT_KEPT": ",".join(site.kept),
    }
    return subprocess.run(
        command, cwd=folder, env=env, timeout=LONGEST, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("role", "phases"),
    [
        ("admin", "examples,coverage"),
        ("admin", "fuzzing,stateful"),
        ("viewer", "coverage"),
        ("", "coverage"),
    ],
)
def test_the_server_keeps_its_contract(site: Site, tmp_path: Path, role: str, phases: str) -> None:
    token = site.tokens.get(role, "")
    options = ["--phases", phases, "--max-examples", 3]
    if "coverage" in phases:
        options += [word for name in LARGE for word in ("--exclude-operation-id", name)]
    done = play(site, token, tmp_path, *options)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-4_000:]
    assert "No issues found" in done.stdout, done.stdout[-4_000:]
    if role:
        # Whoever lost the token on the way has tested refusals only.
        listed = site.stack.ctl("job", "list", token=token)
        assert listed.returncode == 0, listed.stderr
    assert site.stack.server.running
    assert "request failed" not in site.stack.server.words()
