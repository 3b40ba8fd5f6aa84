"""Artifacts: files that jobs give back, kept until their job is forgotten."""

from remote_server.artifacts.local import LocalArtifacts
from remote_server.artifacts.ports import ArtifactStore, ArtifactUnavailable
from remote_server.artifacts.watch import ArtifactWatch

__all__ = ["ArtifactStore", "ArtifactUnavailable", "ArtifactWatch", "LocalArtifacts"]
