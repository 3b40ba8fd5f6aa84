"""Artifacts as shown."""

from __future__ import annotations

from remote_protocol.artifacts import ArtifactState
from remote_server.domain.model import ArtifactSet, StoredArtifact
from remote_server.queries.artifacts import artifacts_view

UPLOADING, COMPLETE, FAILED = ArtifactState


def one(number: int, state: ArtifactState, reason: str = "") -> StoredArtifact:
    return StoredArtifact(number, f"f{number}", 5, "" if reason else "0" * 64, state, reason)


def test_nothing_more_comes_when_each_has_ended() -> None:
    items = (one(1, COMPLETE), one(2, FAILED, "gone"))
    assert artifacts_view(1, ArtifactSet(2, "", items)).complete
    assert not artifacts_view(1, ArtifactSet(3, "", items)).complete, "one was not announced"
    assert not artifacts_view(1, ArtifactSet(3, "", (*items, one(3, UPLOADING)))).complete
    assert artifacts_view(0, ArtifactSet()).complete


def test_what_is_empty_is_null() -> None:
    shown = artifacts_view(2, ArtifactSet(2, "left", (one(1, COMPLETE), one(2, FAILED, "gone"))))
    assert (shown.attempt, shown.warning) == (2, "left")
    assert [(item.reason, item.sha256) for item in shown.items] == [
        (None, "0" * 64),
        ("gone", None),
    ]
