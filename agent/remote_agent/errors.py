"""What ends the agent, with the exit code that it ends with, and words for errors of the system.

Types and texts only.

AgentError            1   fatal: something that a person must look at
├── ConfigError       2   configuration or usage; `faults` holds one sentence each
├── TokenRefused      4   the server knows the token no more, or it was never right
│   └── IdentityCopied 4  another installation has this agent's identity, and is connected
├── Unreachable       1   no answer from the server; trying again later may help
└── ServerRefused     1   the server answered a request of ours with a problem; 2 when other
                          settings cure it (name, queue)
"""

from __future__ import annotations

from typing import Final

RESTART: Final = 3
"""Exit code of an agent that is to be started again."""


def os_words(error: OSError, place: object) -> str:
    """What the system refused, and where; `place` holds when the error does not say."""
    where = error.filename if isinstance(error.filename, str) else place
    return f"{where}: {error.strerror or error}"


class AgentError(Exception):
    """Base of all; the text is a sentence with cause and cure."""

    exit_code = 1


class ConfigError(AgentError):
    """The configuration or the call is wrong."""

    exit_code = 2

    def __init__(self, *faults: str) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(faults))


class TokenRefused(AgentError):
    """The agent's token is not accepted and will not be by waiting."""

    exit_code = 4


class IdentityCopied(TokenRefused):
    """The token belongs to another installation, which is at work."""


class Unreachable(AgentError):
    """Nothing came back from the server; the text says how far it went."""


class ServerRefused(AgentError):
    """The server answered with a problem (RFC 9457); `code` is its stable name."""

    def __init__(self, code: str, sentence: str, exit_code: int = 1) -> None:
        self.code = code
        self.exit_code = exit_code
        super().__init__(sentence)
