"""Environment variables of flags that belong to the call, not to the configuration. Reads only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from remote_agent.errors import ConfigError

_TRUE: Final = ("1", "true", "yes", "on")
_FALSE: Final = ("0", "false", "no", "off")


def variable_of(flag: str) -> str:
    """The variable of a flag: `--token-file` has `REMOTE_AGENT_TOKEN_FILE`."""
    return "REMOTE_AGENT_" + flag.removeprefix("--").replace("-", "_").upper()


def text_of(flag: str, choices: Sequence[str] | None = None) -> str | None:
    """The variable's text; None when it is not set or empty. ConfigError when it is no choice."""
    text = os.environ.get(variable_of(flag)) or None
    if text is not None and choices is not None and text not in choices:
        raise ConfigError(f"{variable_of(flag)}: {text!r} is none of {', '.join(choices)}")
    return text


def switch_of(flag: str) -> bool:
    """Whether the variable switches the flag on. ConfigError when it says neither yes nor no."""
    text = (text_of(flag) or "no").lower()
    if text not in _TRUE + _FALSE:
        raise ConfigError(f"{variable_of(flag)}: {text!r} is neither true nor false")
    return text in _TRUE
