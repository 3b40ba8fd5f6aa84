"""Downloads of artifacts from a job's page."""

from __future__ import annotations

from aiohttp import web

from remote_server.web.access import QUEUE_VIEWER
from remote_server.web.actions.artifacts import BINARY, ArtifactQuery, send_artifact
from remote_server.web.route import Call, Route


@Route(
    "GET",
    "/jobs/{id}/artifacts/{name:.+}",
    QUEUE_VIEWER,
    page=True,
    query=ArtifactQuery,
    media=(BINARY,),
    lasting=True,
)
async def artifact(call: Call) -> web.StreamResponse:
    """A file that the job gave back, to be kept: a browser never shows it."""
    return await send_artifact(call, call.query(ArtifactQuery))
