"""Styles, scripts and icons of the pages: read once, served with their hash in the address, so that
a browser keeps each of them for good and never mixes two versions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

from aiohttp import web

from remote_server.web.access import PUBLIC
from remote_server.web.http.problems import not_found
from remote_server.web.route import Call, Route

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_FOR_GOOD: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    content: bytes
    media: str
    version: str


@cache
def _assets() -> dict[str, Asset]:
    found = {}
    for file in files("remote_server.web.pages").joinpath("static").iterdir():
        media = _TYPES.get(file.name.rpartition(".")[2])
        if media is not None:
            content = file.read_bytes()
            found[file.name] = Asset(content, media, sha256(content).hexdigest()[:12])
    return found


@cache
def address(name: str) -> str:
    """Where a file is, relative to the root of the pages. KeyError when there is none."""
    return f"static/{_assets()[name].version}/{name}"


@Route("GET", "/static/{version}/{name}", PUBLIC, page=True)
async def static(call: Call) -> web.StreamResponse:
    """A style, a script or an icon."""
    asset = _assets().get(call.path("name"))
    if asset is None:
        raise not_found("file", call.path("name"))
    # After an upgrade an old page may still ask for an old version: it gets the new one, not kept.
    kept = _FOR_GOOD if call.path("version") == asset.version else "no-cache"
    return web.Response(
        body=asset.content, headers={"Content-Type": asset.media, "Cache-Control": kept}
    )
