"""What methods of resources stand on."""

from __future__ import annotations

import pytest

from remote_client.errors import NotOurs
from remote_client.resources.base import Resource, body_of
from remote_protocol.api.agents import AgentChange
from remote_protocol.api.queues import QueueChange
from remote_protocol.api.server import VersionView


def test_another_answer_than_the_models_is_not_ours() -> None:
    class Some(Resource):
        url = "http://host"

    with pytest.raises(NotOurs, match="not as a remote-server of this version"):
        Some()._view(VersionView, {"product": "something else"})


def test_a_body_has_only_what_was_set() -> None:
    assert body_of(QueueChange(paused=None)) == {"paused": None}
    assert body_of(AgentChange(queues=["q"])) == {"queues": ["q"]}
