"""Every block of docs/install-packages.md, as it stands and in its order, on a clean host."""

from __future__ import annotations

from tests.docs.blocks import blocks
from tests.packages.host import CleanHost
from tests.packages.managers import ROOT
from tests.systemd.machine import said
from tests.systemd.traces import same

DOCUMENT = ROOT / "docs" / "install-packages.md"


def test_what_the_page_says_works_and_leaves_nothing(host: CleanHost) -> None:
    found = [block for block in blocks(DOCUMENT.read_text()) if block.language == "sh"]
    assert len(found) > 1 and not any(block.not_run for block in found)
    host.token_file("/packages/token")
    files, users = host.traces(), host.users()
    for block in found:
        done = host.machine.run("sh", "-e", "-c", f"cd /packages\n{block.text}")
        assert done.returncode == 0, f"{block.text}\n{said(done)}"
    assert "removed  /var/lib/remote-agent-program" in done.stdout
    same(host.traces(), files)
    same(host.users(), users)
    assert host.ctl("agent", "list", "-q") == ""
