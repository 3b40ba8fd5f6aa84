"""A host registers as an agent."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from remote_protocol.api.registration import Registered, Registration


def test_a_host_takes_nothing_over_unless_it_says_so() -> None:
    wanted = Registration(name="a")
    assert (wanted.replace, wanted.ephemeral, wanted.settings.queues) == (False, False, None)
    with pytest.raises(ValidationError, match="name"):
        Registration.model_validate({"name": "no name"})


def test_an_agent_that_keeps_its_token_is_sent_none() -> None:
    assignment = {"queues": ["default"], "capacity": {"default": 1}}
    answer = Registered.model_validate({"name": "a", "assignment": assignment})
    assert answer.token is None
