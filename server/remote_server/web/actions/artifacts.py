"""What is done with artifacts for API and pages: found by attempt and name, sent by ranges."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from aiohttp import web
from pydantic import Field

from remote_protocol.artifact_names import name_fault
from remote_protocol.artifacts import ArtifactState
from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import ErrorCode
from remote_server.domain.model import ArtifactSet, StoredArtifact
from remote_server.web.actions.logs import attempt_of
from remote_server.web.http.frames import Stream
from remote_server.web.http.problems import ApiProblem, not_found
from remote_server.web.route import Call, Query

BINARY: Final = "application/octet-stream"
_PIECE: Final = 256 * 1024
_RANGE: Final = re.compile(r"bytes=([0-9]{1,18})-([0-9]{0,18})")
_HEADERS: Final = {
    # What a job made must never act in the name of this site.
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Accept-Ranges": "bytes",
}


class ArtifactsQuery(Query):
    """The query of artifacts."""

    attempt: int | None = Field(default=None, ge=1, lt=1 << 32)
    """Default: the last one, which gives the job its own."""


class ArtifactQuery(ArtifactsQuery):
    """The query of one artifact."""

    offset: int = Field(default=0, ge=0, lt=1 << 62)
    """Bytes to leave out: where a broken download goes on. `Range` does the same."""


async def artifacts_of(call: Call, wanted: int | None) -> tuple[AttemptId, ArtifactSet]:
    """The artifacts of a job's attempt, and which it is. ApiProblem when there is none."""
    job = await call.services.store.job(call.path("id"))
    key = AttemptId(job.id, job.attempt if wanted is None else wanted)
    if wanted is not None and await attempt_of(call, key) is None:
        raise not_found(f"attempt of job {job.id}", str(wanted))
    return key, await call.services.store.artifacts_of(key)


async def send_artifact(call: Call, query: ArtifactQuery) -> web.StreamResponse:
    """Send one artifact, all of it or a range (RFC 9110 §14). ApiProblem."""
    name = call.request.match_info["name"]
    if name_fault(name):
        raise not_found("artifact", repr(name[:100]))
    key, found = await artifacts_of(call, query.attempt)
    one = next((item for item in found.items if item.name == name), None)
    if one is None:
        raise not_found(f"artifact of attempt {key}", name)
    if one.state is not ArtifactState.COMPLETE:
        raise ApiProblem(ErrorCode.CONFLICT, _why_not(one))
    tag = f'"{one.checksum}"'
    first, last, status = _range(call.request, one, tag, query.offset)
    headers = {
        **_HEADERS,
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name.rpartition('/')[2], '')}",
        "ETag": tag,
        "Remote-Artifact-Sha256": one.checksum,
        "Remote-Artifact-Size": str(one.size),
    }
    if status == 206:
        headers["Content-Range"] = f"bytes {first}-{last - 1}/{one.size}"
    stream = Stream(call, BINARY, headers, last - first, status)
    # Before the answer begins: a file that is not there is a problem, not an answer that breaks.
    piece = await _piece(call, key, one, first, last)
    await stream.open()
    while piece:
        await stream.write(piece)
        first += len(piece)
        piece = await _piece(call, key, one, first, last)
    return await stream.close()


async def _piece(call: Call, key: AttemptId, one: StoredArtifact, first: int, last: int) -> bytes:
    """The next bytes of a range; none at its end. ApiProblem when there are fewer than there
    were."""
    if first >= last:
        return b""
    size = min(_PIECE, last - first)
    if piece := await call.services.artifacts.read(key, one.number, first, size):
        return piece
    raise ApiProblem(ErrorCode.STORE_UNAVAILABLE, "the artifact is shorter than it was")


def _why_not(one: StoredArtifact) -> str:
    if one.state is ArtifactState.FAILED:
        return f"artifact {one.name!r} has not come: {one.reason}"
    return f"artifact {one.name!r} is still being uploaded; try again later"


def _range(
    request: web.Request, one: StoredArtifact, tag: str, offset: int
) -> tuple[int, int, int]:
    """The first byte to send, the one after the last, and the status."""
    given = _RANGE.fullmatch(request.headers.get("Range", ""))
    if given is not None and request.headers.get("If-Range", tag) == tag:
        first = int(given[1])
        last = min(int(given[2]) + 1, one.size) if given[2] else one.size
        if first < last:
            return first, last, 206
        if first >= one.size:
            raise ApiProblem(
                ErrorCode.BAD_REQUEST, f"the range begins beyond the artifact's {one.size} bytes"
            )
    if offset > one.size:
        raise ApiProblem(ErrorCode.BAD_REQUEST, f"the artifact has {one.size} bytes")
    return offset, one.size, 200
