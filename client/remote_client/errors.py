"""What can go wrong for a client. Every error says cause and cure in one sentence.

ClientError
├── UsageError          bad arguments or no server named (exit code 2)
├── Unreachable         no answer from the server
│   └── NotOurs         an answer, but not from a remote-server
├── EventsLost          changes of jobs that were asked for are kept no longer
└── ApiError            the server answered with a problem (RFC 9457); `code` is stable
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """Base of all errors of the client; `exit_code` is what `remotectl` ends with."""

    exit_code = 1


class UsageError(ClientError):
    """The call itself is wrong: bad arguments, no server named."""

    exit_code = 2


class Unreachable(ClientError):
    """The server gave no usable answer; the sentence names what was tried and what to check."""

    silenced = False
    """Somebody took the call, and then went away."""


class NotOurs(Unreachable):
    """Something else answered; asking again cannot help."""


class EventsLost(ClientError):
    """Changes of jobs' states after a number are kept no longer: look at the jobs themselves, then
    go on after `next`."""

    def __init__(self, after: int, following: int) -> None:
        self.next = following
        super().__init__(
            f"the server keeps no longer all that happened after event {after}; list the jobs to "
            f"know their states, then go on with events(after={following})"
        )


class ApiError(ClientError):
    """The server refused a call. `problem` is its answer, `code` its stable name.

    `faults` are the faulty fields of what was sent, each with what is wrong with it.
    """

    def __init__(self, problem: Mapping[str, Any]) -> None:
        self.problem = dict(problem)
        self.code = str(problem.get("code", ""))
        self.status = problem["status"] if isinstance(problem.get("status"), int) else 0
        self.faults = _faults(problem.get("errors"))
        self.sentence = str(problem.get("detail") or problem.get("title") or self.code)
        lines = [f"\n  {field}: {words}" for field, words in self.faults]
        super().__init__(self.sentence + "".join(lines))


def _faults(errors: object) -> list[tuple[str, str]]:
    if not isinstance(errors, list):
        return []
    return [
        (str(fault.get("field", "")), str(fault.get("message", "")))
        for fault in errors
        if isinstance(fault, dict)
    ]
