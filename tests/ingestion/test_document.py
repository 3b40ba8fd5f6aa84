"""The commands of docs/datahub.md, as they stand, with the real DataHub."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_blocks import PLACE, namespaces
from tests.ingestion.test_task import ENVIRONMENT, ROOT

DOCUMENT = ROOT / "docs" / "datahub.md"
BIN = Path(sys.executable).parent


@pytest.mark.timeout(400)
def test_every_command_works_as_it_stands(tmp_path: Path) -> None:
    line = namespaces()
    assert line is not None, "needs Linux, and the right to make namespaces"
    # What the reader has installed by then.
    before = f"```sh\nln -s {ENVIRONMENT} /var/lib/datahub\n```\n"
    document = tmp_path / "datahub.md"
    document.write_text(before + DOCUMENT.read_text(encoding="utf-8"), encoding="utf-8")
    done = subprocess.run(
        [*line, sys.executable, PLACE, document, tmp_path, BIN],
        capture_output=True, text=True, timeout=360, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
