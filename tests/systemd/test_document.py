"""Every block of docs/systemd.md, as it stands and in its order, on a host without the service."""

from __future__ import annotations

from pathlib import Path

from tests.docs.blocks import blocks
from tests.systemd.host import Host
from tests.systemd.machine import said

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "systemd.md"


def test_what_the_page_says_works(host: Host) -> None:
    host.token_file()
    found = [block for block in blocks(DOCUMENT.read_text()) if block.language == "sh"]
    assert len(found) > 4 and not any(block.not_run for block in found)
    for block in found:
        done = host.machine.run("sh", "-e", "-c", f"cd /root\n{block.text}", env=host.prompt)
        assert done.returncode == 0, f"line {block.line} of {DOCUMENT.name}:\n{said(done)}"
