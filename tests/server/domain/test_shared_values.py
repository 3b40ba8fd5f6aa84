"""What is there once for all agents, and that nothing else is taken for it."""

from __future__ import annotations

from remote_protocol import messages as m
from remote_server.domain import shared_values


def hello(version: str = "1", **values: object) -> m.Hello:
    parsed = {"oldest": 1, "newest": 1, "session": "0" * 26, "installation": "i", **values}
    return m.Hello.model_validate({"agent_version": version, **parsed})


def test_what_all_agents_say_is_there_once() -> None:
    one = shared_values.said(hello("".join(["1.", "2"])))
    other = shared_values.said(hello("".join(["1", ".2"])))
    assert one is not other, "a second hello is told from the first"
    assert one.settings is other.settings == m.Settings()
    assert one.agent_version is other.agent_version
    assert shared_values.condition(m.Condition(accepting=True)) is shared_values.CONDITION
    assert shared_values.mode(m.DesiredMode(paused=False)) is shared_values.MODE


def test_what_one_agent_says_is_its_own() -> None:
    own = shared_values.said(hello("2", settings={"queues": ["gpu"]}))
    assert own.settings == m.Settings(queues=["gpu"])
    assert own.agent_version == "2"
    for condition in (m.Condition(accepting=False), m.Condition(reason="x")):
        assert shared_values.condition(condition) is condition
    for mode in (m.DesiredMode(paused=True), m.DesiredMode(restart="p")):
        assert shared_values.mode(mode) is mode
