"""Secrets as the server knows them: who may read which, and why not. Pure; no value is in here but
sealed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from remote_protocol.limits import MAX_SECRETS_SIZE
from remote_protocol.spec import DEFAULT_QUEUE

MOST: Final = 2_000
"""Secrets of one server."""
_MOST_NAMED: Final = 5


class Scope(NamedTuple):
    """Which jobs get a secret."""

    queues: tuple[str, ...] = (DEFAULT_QUEUE,)
    all_queues: bool = False

    def covers(self, queue: str) -> bool:
        """Whether jobs of a queue get it."""
        return self.all_queues or queue in self.queues

    @property
    def words(self) -> str:
        """The queues, in words."""
        if self.all_queues:
            return "all queues"
        some = ", ".join(self.queues[:_MOST_NAMED]) or "no queue"
        return some if len(self.queues) <= _MOST_NAMED else f"{some}, …"


class Sealed(NamedTuple):
    """An encrypted value as it is stored, in base64."""

    key_id: str
    nonce: str
    ciphertext: str


Sealer = Callable[[str], Sealed]
"""Seals a private input for the job with this id."""


class Secret(NamedTuple):
    """A secret without its value (a row)."""

    name: str
    scope: Scope
    key_id: str
    created_at: float
    created_by: str
    updated_at: float
    updated_by: str


class SealedSecret(NamedTuple):
    """What a delivery needs of a secret."""

    scope: Scope
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class Granted:
    """The secrets of one attempt."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    withheld: Mapping[str, str] = field(default_factory=dict)
    """Names of those that are not given, each with a sentence why."""
    trouble: str = ""
    """What is the matter with the server's key, for its log."""


def bound_input(job: str) -> str:
    """What the private input of a job is sealed for: no secret can have this name."""
    return f"input of job {job}"


def unknown(name: str) -> str:
    """Why a secret that does not exist is not given."""
    return (
        f"the server has no secret {name!r}; an admin can make it with: remotectl secret set {name}"
    )


def not_for(name: str, queue: str) -> str:
    """Why jobs of a queue do not get a secret; without the queues that do."""
    return (
        f"the secret {name!r} is not given to jobs of the queue {queue!r}; an admin sees who gets "
        f"it with: remotectl secret show {name}, and changes that with: remotectl secret edit"
    )


def unreadable(name: str) -> str:
    """Why a secret is not given that cannot be decrypted; the cause is the admins' business."""
    return (
        f"the server cannot read its secret {name!r}; an admin sees why with: remotectl secret "
        f"show {name}"
    )


def too_large(name: str) -> str:
    """Why a secret is left out that would be one too many."""
    return (
        f"the secret {name!r} makes the secrets of this job larger than {MAX_SECRETS_SIZE} bytes "
        "together; name fewer of them, or put large ones into the job's input"
    )


def packed_size(name: str, value: str) -> int:
    """Bytes of a secret among others, as their shim takes them: JSON in ASCII."""
    return len(json.dumps({name: value}, separators=(",", ":")))
