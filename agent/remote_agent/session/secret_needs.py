"""What the start of a job with secrets needs to know. Pure."""

from __future__ import annotations

from typing import NamedTuple

from remote_protocol.messages import Confirm
from remote_protocol.spec import JobSpec


class SecretNeeds(NamedTuple):
    """A job that names secrets, has a private input or a relay, and what the server gives of them.
    No text of it shows a value."""

    spec: JobSpec
    given: Confirm


def needs_of(spec: JobSpec | None, given: Confirm) -> SecretNeeds | None:
    """None for a job that needs nothing of all that."""
    if spec is not None and (spec.secrets or spec.private_input or spec.relay):
        return SecretNeeds(spec, given)
    return None
