"""Attempts for tests of logs."""

from __future__ import annotations

import os

from remote_protocol.attempt_id import AttemptId
from remote_protocol.ids import make_ulid


def new_key(number: int = 0, attempt: int = 1) -> AttemptId:
    """An attempt whose job was made at a time that `number` (17 minutes each) chooses."""
    return AttemptId(make_ulid(1_700_000_000_000 + (number << 20), os.urandom(10)), attempt)


def new_job_key(attempt: int = 1) -> AttemptId:
    """An attempt whose job is made later than any process that runs now."""
    return AttemptId(make_ulid(4_000_000_000_000, os.urandom(10)), attempt)
