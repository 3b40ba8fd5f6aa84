"""Complaints in the agent's own log."""

from __future__ import annotations

import json

import pytest

from remote_agent.service.own_log import complaint


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"level": "error", "event": "the agent exits", "reason": "no"}, "the agent exits: no"),
        ({"level": "warning", "event": "link closed"}, "link closed"),
        ({"level": "info", "event": "online"}, ""),
        ({"level": "warning", "event": "taking no jobs", "reason": "stopping"}, ""),
    ],
)
def test_what_a_line_complains_about(entry: dict[str, str], words: str) -> None:
    assert complaint(json.dumps(entry)) == words


@pytest.mark.parametrize("line", ["", "{", "[" * 100_000, "[]", "7", "Traceback"])
def test_what_is_no_entry(line: str) -> None:
    assert complaint(line) == ""
