"""What a program can be given: arguments and environment, within the bounds of Linux. Pure.

Each check looks at a whole command or environment and raises one ValueError: a fault for each of
10,000 parts would be larger than what was sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from remote_protocol.ids import without_nul
from remote_protocol.limits import (
    MAX_ARGUMENTS,
    MAX_COMMAND_SIZE,
    MAX_ENV,
    MAX_ENV_SIZE,
    MAX_EXEC_SIZE,
    MAX_NAME,
)
from remote_protocol.units import plain_size

_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_RESERVED: Final = re.compile(r"REMOTE_(JOB_ID|ATTEMPT|QUEUE|AGENT|WORK_DIR|OUTPUTS|ARTIFACTS)")
_EACH: Final = 1 + 8
"""Bytes that each text costs besides its own: a NUL and a pointer."""
_WIDEST: Final = 4
"""Bytes of a character in UTF-8."""


def check_command(value: object) -> object:
    """A command before its arguments are looked at one by one. ValueError."""
    if isinstance(value, list | tuple) and len(value) <= MAX_ARGUMENTS:
        for argument in value:
            if isinstance(argument, str):
                check_text(argument, "an argument")
                if _at_least(argument, MAX_COMMAND_SIZE):
                    most = plain_size(MAX_COMMAND_SIZE)
                    raise ValueError(f"an argument is longer than {most}; use a file")
    return value


def check_environment(value: object) -> object:
    """An environment before its variables are looked at one by one. ValueError."""
    if isinstance(value, dict):
        if len(value) > MAX_ENV:
            raise ValueError(f"a job has at most {MAX_ENV} variables")
        for name, text in value.items():
            if isinstance(name, str) and isinstance(text, str):
                _check_variable(name, text)
    return value


def check_fits(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """ValueError when no program can be given all of it."""
    env = 0
    if environment:
        env = sum(map(len, environment)) + sum(map(len, environment.values()))
    size = sum(map(len, command))
    if (size + env) * _WIDEST + _EACH * (len(command) + 2 * len(environment)) <= MAX_ENV_SIZE:
        return
    env = sum(len(name) + len(value.encode()) for name, value in environment.items())
    if env > MAX_ENV_SIZE:
        raise ValueError(f"the environment is larger than {plain_size(MAX_ENV_SIZE)}")
    size = sum(len(argument.encode()) + _EACH for argument in command)
    if size + env + (1 + _EACH) * len(environment) > MAX_EXEC_SIZE:
        raise ValueError(
            f"command and environment are larger than {plain_size(MAX_EXEC_SIZE)} together, more "
            "than a program can be given; use a file"
        )


def check_text(text: str, what: str) -> None:
    """ValueError when a program cannot be given this text at all."""
    without_nul(text, what)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{what} is not text in UTF-8") from None


def _check_variable(name: str, value: str) -> None:
    if len(name) > MAX_NAME or not _ENV_NAME.fullmatch(name):
        raise ValueError(
            f"{name[:MAX_NAME]!r} is not a usable environment variable: a name has at most "
            f"{MAX_NAME} letters, digits and _, and starts with no digit"
        )
    if _RESERVED.fullmatch(name):
        raise ValueError(f"{name} is set by the agent and cannot be given")
    try:
        check_text(value, "its value")
    except ValueError as error:
        raise ValueError(f"{name} is not a usable environment variable: {error}") from None
    if _at_least(value, MAX_COMMAND_SIZE - len(name) - 1):
        raise ValueError(
            f"{name} and its value are longer than {plain_size(MAX_COMMAND_SIZE)}, the most that a "
            "program can be given; use a file"
        )


def _at_least(text: str, size: int) -> bool:
    """Whether it has so many bytes in UTF-8."""
    return len(text) * _WIDEST >= size and len(text.encode()) >= size
