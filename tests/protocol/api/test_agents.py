"""What is shown of agents, and asked of them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from remote_protocol.api.agents import AgentChange, AgentDrain, AgentView

AT = datetime(2026, 11, 21, tzinfo=UTC)


def test_an_agent_view_survives_a_newer_server() -> None:
    view = AgentView.model_validate(
        {
            "name": "a",
            "state": "online",
            "queues": ["default"],
            "capacity": {"default": 2},
            "registered_at": AT,
            "moons": 2,
        }
    )
    assert view.condition.accepting


def test_an_agent_keeps_a_queue() -> None:
    with pytest.raises(ValidationError):
        AgentChange(queues=[])


def test_the_deadline_of_a_drain_is_written_for_people() -> None:
    assert AgentDrain.model_validate({"deadline": "1h"}).deadline == 3600
