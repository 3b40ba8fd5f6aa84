"""Bodies of the calls about inputs of jobs. Pure."""

from __future__ import annotations

from typing import Literal

from remote_protocol.api.bodies import View


class InputView(View):
    """How far the input of a job has come."""

    size: int
    """Bytes that the server has."""
    state: Literal["open", "ended"]
    """`ended`: those are all."""
    ttl: float | None = None
    """Seconds of silence after which the job is cancelled, while its input is open."""
