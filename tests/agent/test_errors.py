"""Exit codes of the agent's errors."""

from remote_agent.errors import AgentError, ConfigError, ServerRefused, TokenRefused, Unreachable


def test_exit_codes_are_those_of_the_contract() -> None:
    assert AgentError("x").exit_code == 1
    assert ConfigError("x").exit_code == 2
    assert TokenRefused("x").exit_code == 4
    assert ServerRefused("internal", "x").exit_code == 1
    assert ServerRefused("name_taken", "x", 2).exit_code == 2
    assert Unreachable("x").exit_code == 1


def test_a_config_error_shows_every_fault() -> None:
    error = ConfigError("one", "two")
    assert error.faults == ["one", "two"]
    assert str(error) == "one\ntwo"
