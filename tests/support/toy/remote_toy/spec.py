"""What a toy is asked for."""

from __future__ import annotations

from typing import Literal

from remote_protocol.spec.job import JobSpec


class ToySpec(JobSpec, kind="toy"):
    """A job that greets."""

    kind: Literal["toy"] = "toy"
    greeting: str = "hello"
