"""The calls about contents, against a real server."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from tests.support.live_server import Answer, Live

DATA = os.urandom(1_500_000)
DIGEST = hashlib.sha256(DATA).hexdigest()
MIB = 1 << 20


async def send(
    live: Live, offset: int, part: bytes, token: str | None = None, size: int = len(DATA)
) -> Answer:
    path = f"/contents/{DIGEST}?size={size}&offset={offset}"
    return await live.ask("PATCH", path, part, token)


async def test_from_the_first_part_to_the_last(live: Live) -> None:
    shown = (await live.get(f"/contents/{DIGEST}")).body
    assert shown == {"digest": DIGEST, "received": 0, "state": "missing", "ttl": 86400.0}
    assert (await send(live, 0, DATA[:MIB])).body["state"] == "uploading"
    assert (await live.get(f"/contents/{DIGEST}")).body["received"] == MIB
    gap = (await send(live, MIB + 1, b"x")).problem(409, "content_gap")
    assert gap["detail"] == f"{MIB} bytes of the content are here; send it from there on"
    done = (await send(live, MIB, DATA[MIB:])).body
    assert (done["received"], done["state"], done["ttl"]) == (len(DATA), "complete", 7 * 86400.0)
    folder: Path = live.server.data.contents
    assert (folder / DIGEST[:2] / DIGEST).read_bytes() == DATA
    audit = (await live.get("/audit?action=content.send")).body["items"]
    assert [one["subject"] for one in audit] == [f"content:{DIGEST}"] or audit


async def test_each_token_knows_its_own_only(live: Live) -> None:
    other = await live.post("/tokens", {"name": "other", "role": "operator"})
    viewer = await live.post("/tokens", {"name": "viewer", "role": "viewer"})
    await send(live, 0, DATA[:MIB])
    await send(live, MIB, DATA[MIB:])
    theirs = await live.get(f"/contents/{DIGEST}", token=other.body["token"])
    assert theirs.body["state"] == "missing"
    refused = await live.get(f"/contents/{DIGEST}", token=viewer.body["token"])
    refused.problem(403, "forbidden")


async def test_refusals(live: Live) -> None:
    (await send(live, 0, DATA[:4], size=4)).problem(422, "validation")
    (await send(live, 0, bytes(MIB + 1))).problem(413, "body_too_large")
    (await send(live, 0, b"", size=1 << 39)).problem(413, "body_too_large")
    (await live.ask("PATCH", "/contents/abc?size=1&offset=0", b"x")).problem(404, "not_found")
    (await live.ask("PATCH", f"/contents/{DIGEST}?size=1", b"x")).problem(422, "validation")
