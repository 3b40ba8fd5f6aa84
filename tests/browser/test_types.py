"""The types of the scripts hold, by their JSDoc."""

from __future__ import annotations

import subprocess
from pathlib import Path

HERE = Path(__file__).parent
COMPILER = HERE.parents[1] / "build" / "browser" / "typescript" / "tsc.js"


def test_the_types_of_all_scripts_hold() -> None:
    command = ["node", str(COMPILER), "--project", str(HERE / "tsconfig.json")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
