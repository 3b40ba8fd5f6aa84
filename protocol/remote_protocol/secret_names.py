"""The names of secrets, and how much of them one attempt is given. Pure.

A job names its secrets as the variables of its environment that get the values. The values
themselves are in no specification: the server gives them in `confirm`, or the host has them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, StringConstraints

from remote_protocol.limits import MAX_NAME, MAX_SECRETS, MAX_SECRETS_SIZE
from remote_protocol.units import plain_size

_PATTERN: Final = rf"[A-Za-z_][A-Za-z0-9_]{{0,{MAX_NAME - 1}}}"
_NAME: Final = re.compile(_PATTERN)
RESERVED_PREFIX: Final = "REMOTE_"
"""Of the variables that the agent sets, now and later."""
FILE_SUFFIX: Final = "_FILE"
"""After a secret's name: the variable with the path of the file that has its value."""


def check_secret_name(name: object) -> object:
    """ValueError when no secret can be called so."""
    if isinstance(name, str):
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name[:MAX_NAME]!r} is no name of a secret: it is that of a variable, 1 to "
                f"{MAX_NAME} letters, digits and _, and starts with no digit"
            )
        if name.startswith(RESERVED_PREFIX):
            raise ValueError(f"{name}: names that begin with {RESERVED_PREFIX} are the agent's own")
    return name


SecretName = Annotated[
    str, StringConstraints(pattern=f"^{_PATTERN}$"), BeforeValidator(check_secret_name)
]


def _few(value: object) -> object:
    """Counted before they are looked at: a fault for each of a million would be larger than what
    was sent."""
    if isinstance(value, list | tuple | dict) and len(value) > MAX_SECRETS:
        raise ValueError(f"a job has at most {MAX_SECRETS} secrets, not {len(value)}")
    return value


SecretNames = Annotated[list[SecretName], Field(max_length=MAX_SECRETS), BeforeValidator(_few)]
"""Some of a job's secrets."""


def check_secrets(names: Sequence[str], files: Sequence[str], env: Mapping[str, str]) -> None:
    """ValueError when a job cannot have these secrets, with these of them as files, beside the
    variables `env`."""
    for listed, where in ((names, "secrets"), (files, "secret_files")):
        if len(set(listed)) < len(listed):
            twice = next(name for name in listed if listed.count(name) > 1)
            raise ValueError(f"{where} names {twice} twice; once is enough")
    for name in files:
        if name not in names:
            raise ValueError(f"secret_files names {name}, which is not in secrets; add it there")
    for name in names:
        if name in env:
            raise ValueError(f"{name} is in env and in secrets; leave it out of one of them")
    for name in (f"{name}{FILE_SUFFIX}" for name in files):
        if name in env or name in names:
            raise ValueError(
                f"{name} gets the path of a secret's file; leave it out of env and secrets"
            )


def check_secret_values(values: Mapping[str, str]) -> None:
    """ValueError, which shows none of them, when they are more than one attempt is given."""
    if len(values) > MAX_SECRETS:
        raise ValueError(f"at most {MAX_SECRETS} secrets are given, not {len(values)}")
    if (size := secrets_size(values)) > MAX_SECRETS_SIZE:
        raise ValueError(
            f"the secrets take {plain_size(size)} together; at most "
            f"{plain_size(MAX_SECRETS_SIZE)} can be given"
        )


def secrets_size(values: Mapping[str, str]) -> int:
    """Bytes of names and values."""
    return sum(
        len(name) + len(value.encode("utf-8", "surrogatepass")) for name, value in values.items()
    )
