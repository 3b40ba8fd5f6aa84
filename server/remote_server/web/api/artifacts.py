"""`GET /jobs/{id}/artifacts`: files that a job gives back."""

from __future__ import annotations

from aiohttp import web

from remote_protocol.api.jobs import JobArtifacts
from remote_protocol.errors import ErrorCode
from remote_server.queries.artifacts import artifacts_view
from remote_server.web.access import QUEUE_VIEWER
from remote_server.web.actions.artifacts import (
    BINARY,
    ArtifactQuery,
    ArtifactsQuery,
    artifacts_of,
    send_artifact,
)
from remote_server.web.route import Call, Route, answer


@Route(
    "GET",
    "/api/v1/jobs/{id}/artifacts",
    QUEUE_VIEWER,
    query=ArtifactsQuery,
    answer=JobArtifacts,
    operation="list_job_artifacts",
)
async def artifacts(call: Call) -> web.StreamResponse:
    """List the files that a job gives back.

    Those of its last attempt, or of another one, as far as they have come.
    """
    key, found = await artifacts_of(call, call.query(ArtifactsQuery).attempt)
    return answer(artifacts_view(key.number, found))


@Route(
    "GET",
    "/api/v1/jobs/{id}/artifacts/{name:.+}",
    QUEUE_VIEWER,
    query=ArtifactQuery,
    media=(BINARY,),
    lasting=True,
    headers=("Range", "If-Range"),
    also=((206, "The range that was asked for"),),
    gives=("ETag", "Content-Range", "Remote-Artifact-Sha256", "Remote-Artifact-Size"),
    refuses=(ErrorCode.CONFLICT,),
    operation="get_job_artifact",
)
async def artifact(call: Call) -> web.StreamResponse:
    """Get a file that a job gave back.

    Whole, or from an offset on; 409 until it is complete.
    """
    return await send_artifact(call, call.query(ArtifactQuery))
