"""Bodies of the calls about contents: files and bundles that jobs name by their SHA-256. Pure."""

from __future__ import annotations

from typing import Literal

from remote_protocol.api.bodies import View


class ContentView(View):
    """How far a content has come, of what this token has sent itself."""

    digest: str
    """SHA-256 of all its bytes."""
    received: int
    """Bytes that are here; the next part begins there."""
    state: Literal["missing", "uploading", "complete"]
    """`complete`: jobs of this token can name it."""
    ttl: float
    """Seconds without a job that needs it, or for one on its way without a further part, after
    which it may be gone."""
