"""The parts of scripts that need no page, run by node. A target of its own runs this: node must be
there, and its absence is a failure."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize("script", sorted(HERE.glob("*.test.mjs")), ids=lambda path: path.stem)
def test_a_script(script: Path) -> None:
    command = ["node", "--test", str(script)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 0" not in done.stdout
