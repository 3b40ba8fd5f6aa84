"""Artifacts on the page of a job, and their downloads."""

from __future__ import annotations

from tests.server.web.api.test_artifacts import DATA, with_artifacts
from tests.support.live_server import Live
from tests.support.visitor import visitor


async def test_a_job_lists_them(live: Live) -> None:
    job = await with_artifacts(live)
    async with visitor(live, "viewer") as browser:
        page = await browser.get(f"/jobs/{job}")
        assert "a link was left out" in page.words and "d/<b> ü" in page.words
        assert "<b> ü" not in page.text, "names are texts"
        assert f'href="../jobs/{job}/artifacts/d/%3Cb%3E%20%C3%BC"' in page.text
        assert "it is gone" in page.words and "is being uploaded" in page.words
        assert f"remotectl job artifacts get {job}" in page.words


async def test_a_download_is_kept_and_never_shown(live: Live) -> None:
    job = await with_artifacts(live)
    async with visitor(live, "viewer") as browser:
        got = await browser.get(f"/jobs/{job}/artifacts/empty")
        assert got.status == 200
        assert got.headers["Content-Disposition"].startswith("attachment")
        assert got.headers["Content-Security-Policy"].startswith("sandbox")
        assert (await browser.get(f"/jobs/{job}/artifacts/no")).status == 404
    assert DATA
