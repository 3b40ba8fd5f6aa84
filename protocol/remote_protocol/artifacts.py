"""What messages say of artifacts: files that a job gives back. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from remote_protocol.artifact_names import name_fault
from remote_protocol.limits import MAX_ARTIFACTS, MAX_FILE_PATH


def _name(text: str) -> str:
    if fault := name_fault(text):
        raise ValueError(f"this cannot be the name of an artifact: {fault}")
    return text


ArtifactName = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_FILE_PATH), AfterValidator(_name)
]
ArtifactNumber = Annotated[int, Field(ge=1, le=MAX_ARTIFACTS)]
"""Its place among the artifacts of its attempt."""
ArtifactCount = Annotated[int, Field(ge=0, le=MAX_ARTIFACTS)]
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class ArtifactState(StrEnum):
    """How far an artifact has come."""

    UPLOADING = "uploading"
    COMPLETE = "complete"
    """All of it is on the server, with the checksum that its host made."""
    FAILED = "failed"
    """It will not come, or was refused; the reason is said in words."""
