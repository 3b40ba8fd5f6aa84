"""Exit codes and words of the agent's errors."""

from remote_agent.errors import (
    AgentError,
    ConfigError,
    ServerRefused,
    TokenRefused,
    Unreachable,
    os_words,
)


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


def test_what_the_system_refuses_has_a_place() -> None:
    assert os_words(OSError(28, "No space left", "/x/y"), "/x") == "/x/y: No space left"
    assert os_words(OSError(28, "No space left"), "the state directory") == (
        "the state directory: No space left"
    )
    assert os_words(OSError(28, "No space left", 7), "/x") == "/x: No space left"
    assert os_words(OSError("odd"), "/x") == "/x: odd"
