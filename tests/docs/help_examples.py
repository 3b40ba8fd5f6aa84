"""The examples of every `--help` work: `make test-docs`. A minute, so no part of `make test`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_blocks import BIN, namespaces

PROGRAM = Path(__file__).with_name("examples.py")


def test_every_example_of_a_help_works(tmp_path: Path) -> None:
    line = namespaces()
    if line is None:
        pytest.skip("needs Linux, and the right to make namespaces")
    done = subprocess.run(
        [*line, sys.executable, PROGRAM, tmp_path, BIN],
        capture_output=True, text=True, timeout=870, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-8000:]}{done.stderr[-4000:]}"
    assert int(done.stdout.splitlines()[-1].split()[0]) > 60, "examples were not found"
