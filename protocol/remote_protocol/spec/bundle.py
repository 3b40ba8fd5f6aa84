"""Bundles: the code of a Python job as one content. Pure."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from remote_protocol.contents import ContentRef, Digest
from remote_protocol.limits import MAX_BUNDLE, MAX_NAME

WHEEL_PATTERN = (
    r"^[A-Za-z0-9][A-Za-z0-9._]*-[A-Za-z0-9_.!+]+(-[0-9][A-Za-z0-9_.]*)?"
    r"-[A-Za-z0-9_.]+-[A-Za-z0-9_.]+-[A-Za-z0-9_.]+\.whl$"
)
"""Names of wheels (PyPA, binary distribution format): name, version, build?, three tags."""


class Bundle(BaseModel):
    """A zip archive with a program and what belongs to it, which was sent before the job
    (`PATCH /api/v1/contents/{digest}`) with the same token."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    digest: Digest
    """SHA-256 of its bytes."""
    size: Annotated[int, Field(ge=1, le=MAX_BUNDLE)]
    form: Literal["directory", "zip", "wheel"] = "zip"
    """`directory` (one that was packed for the job) and `zip` are unpacked into the work directory;
    a `wheel` is installed into the job's environment, with what it requires."""
    name: (
        Annotated[str, StringConstraints(max_length=2 * MAX_NAME, pattern=WHEEL_PATTERN)] | None
    ) = None
    """The file name of a wheel, which installers read."""

    @model_validator(mode="after")
    def _wheels_have_names(self) -> Self:
        if (self.form == "wheel") != (self.name is not None):
            raise ValueError("a wheel has the name of its file, and no other bundle has one")
        return self

    @property
    def ref(self) -> ContentRef:
        """The content that it is."""
        return ContentRef(self.digest, self.size)
