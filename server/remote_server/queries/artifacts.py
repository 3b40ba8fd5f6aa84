"""Artifacts as shown. Pure."""

from __future__ import annotations

from remote_protocol.api.jobs import ArtifactView, JobArtifacts
from remote_protocol.artifacts import ArtifactState
from remote_server.domain.model import ArtifactSet, StoredArtifact


def artifacts_view(attempt: int, found: ArtifactSet) -> JobArtifacts:
    """Those of one attempt."""
    ended = sum(one.state is not ArtifactState.UPLOADING for one in found.items)
    return JobArtifacts(
        attempt=attempt,
        expected=found.expected,
        complete=ended >= found.expected,
        warning=found.warning or None,
        items=[_view(one) for one in found.items],
    )


def _view(one: StoredArtifact) -> ArtifactView:
    return ArtifactView(
        number=one.number,
        name=one.name,
        size=one.size,
        state=one.state,
        reason=one.reason or None,
        sha256=one.checksum or None,
    )
