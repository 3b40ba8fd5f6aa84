"""Doors say in words what they take."""

from __future__ import annotations

from remote_server.web.access import AGENT, ENROL, PUBLIC, VIEWER


def test_words() -> None:
    assert VIEWER.words == "an API token (rpt_…)"
    assert AGENT.words == "an agent token (rat_…)"
    assert ENROL.words == "a registration token (rrt_…) or an agent token (rat_…)"
    assert not PUBLIC.kinds
