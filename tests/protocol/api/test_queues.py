"""Changes of queues."""

from __future__ import annotations

from remote_protocol.api.agents import AgentChange
from remote_protocol.api.queues import QueueChange


def test_a_change_tells_what_is_left_out() -> None:
    assert QueueChange().model_fields_set == AgentChange().model_fields_set == set()
    assert QueueChange(job_retention=None).model_fields_set == {"job_retention"}
