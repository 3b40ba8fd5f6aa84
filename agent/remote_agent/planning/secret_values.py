"""Which value each secret of a job gets, of the places that may have one, and what uses it. Pure.

A place is asked by a call: the first one that has a secret counts, and one that has it but cannot
give it ends the search, for another place may hold an older value. Nothing here says a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from remote_protocol.limits import MAX_COMMAND_SIZE, MAX_SECRETS_SIZE, MAX_TEXT
from remote_protocol.relay import VARIABLE
from remote_protocol.secret_names import secrets_size
from remote_protocol.spec import JobSpec
from remote_protocol.units import plain_size

_REFERENCE: Final = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""`$${`, which stands for `${`, or `${NAME}`."""
_CURE: Final = (
    " Give it in one of these places (docs/secrets.md), or leave it out of the job's secrets."
)
_ROOM: Final = MAX_TEXT - len(_CURE) - 200


class Absent(Exception):
    """A place does not have a secret; the text says why, without a subject."""


class Unusable(Exception):
    """A place has a secret, and it cannot be used; the text says why, without its value."""


class Place(NamedTuple):
    """Where secrets may be."""

    name: str
    look: Callable[[str], str]
    """The value of a secret. Absent, Unusable."""


class SecretsMissing(Exception):
    """A job cannot get its secrets: sentences that name each, with the cause in each place, and
    what to do."""


def uses_secret(value: str, names: Iterable[str]) -> bool:
    """Whether a variable's value refers to one of these secrets."""
    if "${" not in value:
        return False
    return not {name for name in _REFERENCE.findall(value) if name}.isdisjoint(names)


def expand(value: str, secrets: Mapping[str, str]) -> str:
    """A variable's value with `${NAME}` replaced for these secrets; `$${` becomes `${`, anything
    else stays as it is."""

    def replaced(found: re.Match[str]) -> str:
        name = found[1]
        return "${" if name is None else secrets.get(name, found[0])

    return _REFERENCE.sub(replaced, value)


def plain_variables(spec: JobSpec) -> dict[str, str]:
    """The job's variables that use none of its secrets."""
    if not (names := _names(spec)):
        return spec.env
    return {
        name: expand(value, {}) for name, value in spec.env.items() if not uses_secret(value, names)
    }


def secret_variables(spec: JobSpec, elsewhere: Sequence[str] = ()) -> list[str]:
    """The job's variables whose values must not lie on a disk: its secrets but for those that it
    gets `elsewhere`, and what uses them."""
    if not (names := _names(spec)):
        return []
    files = {*spec.secret_files, *elsewhere}
    using = [name for name, value in spec.env.items() if uses_secret(value, set(names))]
    return [*(name for name in names if name not in files), *using]


def _names(spec: JobSpec) -> list[str]:
    """The job's secrets: the address of its relay is one, too, for there is a secret in it."""
    return spec.secrets if spec.relay is None else [*spec.secrets, VARIABLE]


def resolve(
    spec: JobSpec, places: Sequence[Place], relay: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The values of a job's secrets, with those of its `relay`, and of the variables that use them.
    SecretsMissing."""
    found: dict[str, str] = dict(relay or {})
    faults: list[str] = []
    for name in spec.secrets:
        try:
            found[name] = _look(name, places)
        except SecretsMissing as missing:
            faults.append(str(missing))
    if faults:
        raise SecretsMissing(_together(faults, spec.secrets) + _CURE)
    names = set(found)
    using = {
        name: expand(value, found) for name, value in spec.env.items() if uses_secret(value, names)
    }
    files = set(spec.secret_files)
    given = found | using
    faults = [words for name in given if (words := _fault(name, given[name], name in files))]
    if (size := secrets_size(given)) > MAX_SECRETS_SIZE:
        faults.append(
            f"The secrets take {plain_size(size)} together, with the variables that use them; at "
            f"most {plain_size(MAX_SECRETS_SIZE)} can be given."
        )
    if faults:
        raise SecretsMissing(_together(faults, list(given)))
    return given


def _look(name: str, places: Sequence[Place]) -> str:
    causes = []
    for place in places:
        try:
            return place.look(name)
        except Absent as absent:
            words = str(absent)  # the server's are a sentence of its own
            causes.append(words if words.startswith(place.name) else f"{place.name}: {words}")
        except Unusable as fault:
            raise SecretsMissing(f"The secret {name} of {place.name} {fault}.") from None
    raise SecretsMissing(f"There is no secret {name}; {'; '.join(causes)}.")


def _fault(name: str, value: str, is_file: bool) -> str:
    """Why no variable can hold it; empty when it can."""
    if "\0" in value:
        return f"The secret {name} has a NUL character, which no program can be given."
    if not is_file and len(name) + 2 + len(value.encode()) > MAX_COMMAND_SIZE:
        return (
            f"The variable {name} would be longer than {plain_size(MAX_COMMAND_SIZE)} with its "
            f"secret, more than a program can be given; take it as a file: --secret {name}:file."
        )
    return ""


def _together(faults: list[str], names: Sequence[str]) -> str:
    """As many of them as a report has room for, and the number of the others."""
    said: list[str] = []
    room = _ROOM
    for fault in faults:
        if said and len(fault) >= room:
            more = len(faults) - len(said)
            said.append(f"{more} more of the job's {len(names)} are missing.")
            break
        said.append(fault[:room])
        room -= len(fault) + 1
    return " ".join(said)
