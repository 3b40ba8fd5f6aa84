"""Commands to paste."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request

from remote_server.web.pages import commands


@pytest.mark.parametrize(
    ("headers", "url"),
    [
        ({"Host": "127.0.0.1:8750"}, "http://127.0.0.1:8750"),
        ({"Host": "jobs.example.com", "X-Forwarded-Proto": "https"}, "https://jobs.example.com"),
    ],
)
def test_they_name_the_server_as_the_browser_knows_it(headers: dict[str, str], url: str) -> None:
    assert commands.server_url(make_mocked_request("GET", "/", headers)) == url


def test_plain_http_to_another_host_has_to_be_meant() -> None:
    assert "--insecure" in commands.enrol("http://10.0.0.1:8750")
    for url in ("https://10.0.0.1", "http://127.0.0.1:8750", "http://localhost", "http://[::1]:1"):
        assert "--insecure" not in commands.enrol(url)
    assert "--name 'berlin 1'" in commands.enrol("https://x", "berlin 1")


def test_a_name_that_a_shell_would_read_is_quoted() -> None:
    assert "'https://x;id'" in commands.make_registration_token("https://x;id")
    assert "'https://x;id'" in commands.use_api_token("https://x;id", "rpt_1")


def test_a_token_goes_into_a_file_for_its_owner_only(tmp_path: Path) -> None:
    subprocess.run(["sh", "-c", commands.keep_token("rrt_1")], cwd=tmp_path, check=True)
    file = tmp_path / "token"
    assert file.read_text() == "rrt_1\n"
    assert file.stat().st_mode & 0o077 == 0
