"""The values of a job's secrets on their way from the agent to its shim: in memory only.

They come with the request for the attempt, through a descriptor that has no name anywhere (a memfd
or a pipe), and are never in the start order, a command line, a log or an error text. A shim reads
them once, gives them to its job's environment, and ends after that attempt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from remote_agent.shim.record import read_bounded
from remote_protocol.units import plain_size

MAX_SECRETS: Final = 8 << 20
"""Bytes of all the secrets of one attempt as JSON, at the most: 1 MiB of them (`limits` of the
protocol), of which each character may become six."""


PRIVATE_INPUT: Final = "<input>"
"""Stands among the names for the job's private input: no variable can be called so."""


class SecretsError(Exception):
    """The secrets of an attempt cannot be handed over; the text is a sentence without any value."""


def pack(secrets: Mapping[str, str]) -> bytes:
    """Names and values as they are handed over. SecretsError for what no environment can hold."""
    for name, value in secrets.items():
        if not name or "=" in name or "\0" in name:
            raise SecretsError(f"{name!r} cannot be the name of a variable in an environment")
        if "\0" in value:
            raise SecretsError(f"the secret {name!r} holds a NUL byte, which no variable can")
    data = json.dumps(dict(secrets), separators=(",", ":")).encode()
    if len(data) > MAX_SECRETS:
        raise SecretsError(
            f"the secrets of this job take {plain_size(len(data))} together; at most "
            f"{plain_size(MAX_SECRETS)} can be handed over"
        )
    return data


def read_secrets(descriptor: int) -> dict[str, str]:
    """What `pack` has made, out of an open descriptor, which is closed. SecretsError when it is
    damaged: the agent has died while it gave them."""
    try:
        data = read_bounded(descriptor, MAX_SECRETS)
        body = json.loads(data)
    except (OSError, ValueError, RecursionError):
        # Not the error's own text or cause: a traceback must not show what was read.
        body = None
    if not isinstance(body, dict) or not all(isinstance(value, str) for value in body.values()):
        raise SecretsError("the secrets of the attempt came damaged; they must be given again")
    return body
