"""Jobs of the kind `command`: a program or a script, and never both."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remote_protocol.limits import MAX_COMMAND_SIZE
from remote_protocol.spec import CommandSpec


def spec(**fields: Any) -> CommandSpec:
    return CommandSpec.model_validate({"command": ["true"], **fields})


def test_a_command_is_executed_without_a_shell() -> None:
    assert spec().script_text is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"command": []}, "give a command"),
        ({"command": [""]}, "give a command"),
        ({"script": "x", "shell": "bash"}, "not both"),
        ({"command": [], "script": "x"}, "needs a shell"),
        ({"command": ["a\0b"]}, "NUL"),
        ({"command": ["x" * MAX_COMMAND_SIZE]}, "use a file"),
        ({"command": [], "shell": "bash", "script": "a\0"}, "cannot contain a NUL"),
        ({"shell": "a\0"}, "cannot contain a NUL"),
        ({"command": [], "shell": "bash", "script": "\udcff"}, "not text in UTF-8"),
        ({"command": ["x" * 100_000] * 11}, "larger than 1 MiB together"),
        ({"shell": "sh", "command": ["x" * 100_000] * 11}, "shell's text is longer"),
    ],
)
def test_a_mistake_is_named(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        spec(**fields)


def test_a_shell_gets_the_words_or_the_script() -> None:
    assert spec(shell="bash", command=["echo", "a;", "b"]).script_text == "echo a; b"
    assert spec(shell="bash", command=[], script="exit 3").script_text == "exit 3"


def test_arguments_are_those_of_a_script() -> None:
    job = spec(command=[], shell="sh", script="echo $1", args=["a b"])
    assert job.args == ["a b"]
    with pytest.raises(ValidationError, match="args are those of a script"):
        spec(args=["a"])
    with pytest.raises(ValidationError, match="NUL"):
        spec(command=[], shell="sh", script="x", args=["a\0"])
    with pytest.raises(ValidationError, match="more than a program can be given"):
        spec(command=[], shell="sh", script="x", args=["a" * 100_000] * 30)
