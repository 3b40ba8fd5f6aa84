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
