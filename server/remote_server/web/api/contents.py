"""Contents: files and bundles that jobs name by their SHA-256. Sent in parts; nobody can read them
here, and each token knows those only that it has sent."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web
from pydantic import Field

from remote_protocol.api.contents import ContentView
from remote_protocol.errors import ErrorCode
from remote_protocol.limits import MAX_CONTENT, MAX_CONTENT_PART
from remote_server.contents.uploads import Received
from remote_server.web.access import QUEUE_OPERATOR
from remote_server.web.http.problems import ApiProblem
from remote_server.web.route import Call, Query, Route, answer

BYTES: Final = "application/octet-stream"
_DIGEST: Final = re.compile("[0-9a-f]{64}")


class ContentQuery(Query):
    """The query of `PATCH /contents/{digest}`."""

    size: int = Field(ge=0, le=MAX_CONTENT)
    """Bytes of the whole content."""
    offset: int = Field(ge=0, le=MAX_CONTENT)
    """Where the part belongs: bytes that the server has already are passed over."""


@Route(
    "PATCH",
    "/api/v1/contents/{digest}",
    QUEUE_OPERATOR,
    query=ContentQuery,
    takes=BYTES,
    body_optional=True,
    largest=MAX_CONTENT_PART,
    answer=ContentView,
    action="content.send",
    operation="send_content",
    refuses=(ErrorCode.CONFLICT, ErrorCode.CONTENT_GAP),
)
async def send(call: Call) -> web.StreamResponse:
    """Send a part of a content.

    A file or a bundle that jobs name by its SHA-256, which is a part of the path.

    With the last part it is compared and kept. Sent again, it changes nothing.
    """
    query, digest = call.query(ContentQuery), _digest(call)
    part = await call.read_bytes()
    contents = call.services.contents
    state = await contents.receive(digest, query.size, query.offset, part, by=call.principal)
    return _shown(call, digest, state)


@Route("GET", "/api/v1/contents/{digest}", QUEUE_OPERATOR, answer=ContentView)
async def show(call: Call) -> web.StreamResponse:
    """Show how much of a content has arrived.

    Of what this token has sent: where to go on after a cut.
    """
    digest = _digest(call)
    return _shown(call, digest, await call.services.contents.look(digest, call.principal))


def _digest(call: Call) -> str:
    digest = call.path("digest")
    if not _DIGEST.fullmatch(digest):
        raise ApiProblem(
            ErrorCode.NOT_FOUND,
            "a content's name is the SHA-256 of its bytes, 64 hexadecimal digits in lower case",
        )
    return digest


def _shown(call: Call, digest: str, state: Received) -> web.StreamResponse:
    limits = call.services.contents.limits
    return answer(
        ContentView(
            digest=digest,
            received=state.size,
            state="complete" if state.complete else "uploading" if state.size else "missing",
            ttl=limits.ttl if state.complete else limits.upload_ttl,
        )
    )
