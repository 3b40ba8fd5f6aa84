"""Contents: files of any size that jobs name by their SHA-256. Pure."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydantic import Field, StringConstraints

from remote_protocol.limits import MAX_CONTENT, MAX_FILES

Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
"""SHA-256 (FIPS 180-4) of all bytes of a content, as 64 lower-case hexadecimal digits."""
ContentSize = Annotated[int, Field(ge=0, le=MAX_CONTENT)]
ContentNumber = Annotated[int, Field(ge=1, le=MAX_FILES + 1)]
"""Its place among the contents of a job (`JobSpec.contents`)."""


class ContentRef(NamedTuple):
    """A content as a job names it."""

    digest: str
    size: int
