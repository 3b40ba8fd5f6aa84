"""What the server says about itself. Pure."""

from __future__ import annotations

from typing import Literal

from remote_protocol.api.bodies import View


class VersionView(View):
    """`GET /version`."""

    product: Literal["remote-server"] = "remote-server"
    version: str
    protocol: int
    """Version of the agent protocol that it speaks."""
    api: str = "v1"
