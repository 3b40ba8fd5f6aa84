"""`remotectl login` by the browser, from the terminal to the page and back."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.stack import BIN, Stack, until


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path) as stack:
        stack.start_server()
        yield stack


def test_a_person_logs_a_program_in_and_out(stack: Stack, tmp_path: Path) -> None:
    env = stack.env(SSH_CONNECTION="x", XDG_CONFIG_HOME=str(tmp_path / "config"))
    ours, theirs = pty.openpty()
    with (tmp_path / "said").open("wb") as said:
        login = subprocess.Popen(
            [BIN / "remotectl", "login", stack.url],
            stdin=theirs, stdout=said, stderr=said, env=env, start_new_session=True,
        )  # fmt: skip
    page = re.compile(r"http://\S+/confirm\?code=(\S+)(?=\s)")
    found = until(lambda: page.search((tmp_path / "said").read_text()), "it says where", 120.0)
    assert found is not None
    with httpx.Client(
        follow_redirects=True, timeout=120, headers={"Accept": "text/html"}, trust_env=False
    ) as browser:
        browser.post(f"{stack.url}/login", data={"token": stack.admin_token})
        shown = browser.get(found[0]).text
        assert found[1] in shown
        csrf = re.search(r'name="csrf" value="([0-9a-f]{64})"', shown)
        assert csrf is not None
        form = {"csrf": csrf[1], "code": found[1], "answer": "confirm", "role": "viewer"}
        assert "Confirmed" in browser.post(f"{stack.url}/confirm", data=form).text
    assert login.wait(120) == 0, (tmp_path / "said").read_text()
    os.close(ours)
    os.close(theirs)

    def ctl(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BIN / "remotectl", *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
            env=env, check=False,
        )  # fmt: skip

    assert "first-admin/" in ctl("whoami").stdout and "viewer" in ctl("whoami").stdout
    assert "needs the role" in ctl("queue", "create", "x").stderr
    (kept,) = [token for token in stack.client.token_page().items if "/" in token.name]
    assert ctl("logout").returncode == 0
    assert ctl("whoami").returncode == 2
    assert [token.revoked for token in stack.client.token_page().items if token.id == kept.id] == [
        True
    ]
