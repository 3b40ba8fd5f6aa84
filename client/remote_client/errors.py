"""What can go wrong for a client. Every error says cause and cure in one sentence.

ClientError
├── UsageError          bad arguments or no server named (exit code 2)
├── Unreachable         no answer from the server
│   └── NotOurs         an answer, but not from a remote-server
└── ApiError            the server answered with a problem (RFC 9457); `code` is stable
"""

from __future__ import annotations

from pydantic import ValidationError

from remote_protocol.api import Problem
from remote_protocol.configuration import fault_words


class ClientError(Exception):
    """Base of all errors of the client; `exit_code` is what `remotectl` ends with."""

    exit_code = 1


class UsageError(ClientError):
    """The call itself is wrong: bad arguments, no server named."""

    exit_code = 2


class Unreachable(ClientError):
    """The server gave no usable answer; the sentence names what was tried and what to check."""


class NotOurs(Unreachable):
    """Something else answered; asking again cannot help."""


class ApiError(ClientError):
    """The server refused a call. `problem` is its answer, `code` its stable name."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.code = problem.code
        self.status = problem.status
        super().__init__(_sentence(problem))


def _sentence(problem: Problem) -> str:
    faults = "".join(
        f"\n  {fault.get('field', '')}: {fault.get('message', '')}" for fault in problem.errors
    )
    return (problem.detail or problem.title) + faults


def faults(error: ValidationError) -> list[str]:
    """What pydantic found wrong, as `place: words`."""
    found = []
    for fault in error.errors(include_url=False):
        place = ".".join(str(part) for part in fault["loc"])
        words = fault_words(fault["type"], fault["msg"], fault["input"])
        found.append(f"{place}: {words}" if place else words)
    return found
