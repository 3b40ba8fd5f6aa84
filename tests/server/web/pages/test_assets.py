"""Styles, scripts and icons."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from remote_server.web.pages.assets import address
from tests.support.live_server import Live
from tests.support.visitor import visitor


async def test_files_are_kept_for_good_under_their_hash(live: Live) -> None:
    async with visitor(live, None) as browser:
        seen = await browser.get(f"/{address('app.css')}")
        assert seen.status == 200 and seen.headers["Content-Type"].startswith("text/css")
        assert "immutable" in seen.headers["Cache-Control"]
        assert seen.headers["X-Content-Type-Options"] == "nosniff"
        old = await browser.get("/static/0123456789ab/app.css")
        assert old.status == 200 and old.headers["Cache-Control"] == "no-cache"
        for path in ("/static/x/nothing.css", "/static/x/..%2f__init__.py"):
            assert (await browser.get(path)).status == 404


def test_every_module_of_a_script_is_there() -> None:
    static = files("remote_server.web.pages").joinpath("static")
    for file in static.iterdir():
        if file.name.endswith(".js"):
            for name in re.findall(r'^import .* from "\./(.*)";$', file.read_text(), re.M):
                assert static.joinpath(name).is_file(), f"{file.name} imports {name}"


def test_a_file_that_is_not_there_is_our_bug() -> None:
    with pytest.raises(KeyError):
        address("nothing.css")
