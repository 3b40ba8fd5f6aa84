"""Every command of docs/install-ansible.md, as it stands and in its order, with the page's own
playbook: it installs and removes an agent."""

from __future__ import annotations

from tests.ansible.control import HOST, ROOT, Control, kept
from tests.docs.blocks import blocks
from tests.systemd.host import URL, Host
from tests.systemd.traces import same

DOCUMENT = ROOT / "docs" / "install-ansible.md"


def test_what_the_page_says_works(host: Host, control: Control) -> None:
    bare = kept(host)
    found = blocks(DOCUMENT.read_text())
    play = next(block.text for block in found if block.language == "yaml")
    assert "https://jobs.example.com" in play and "roles:" in play
    (control.folder / "agents.yml").write_text(play.replace("https://jobs.example.com", URL))
    token = {"REMOTE_TOKEN": str(control.variables["remote_agent_api_token"])}
    commands = [block for block in found if block.language == "sh"]
    assert len(commands) > 2 and not any(block.not_run for block in commands)
    seen = ""
    for block in commands:
        done = control.run("sh", "-e", "-c", block.text, environment=token)
        assert done.returncode == 0, f"line {block.line} of {DOCUMENT.name}:\n{done.stdout}"
        seen += host.ctl("agent", "list", "-q")
    assert seen == HOST, "it came, and went"
    same(kept(host), bare)
