"""What a Python program requires: lines of a requirements file, as far as jobs may have them. Pure.

A line is a requirement as PEP 508 has it: a name, extras, versions and a marker, with hashes behind
it. What would name another source than the agent's own (URLs, paths, options of pip) is refused:
where packages come from is the decision of whoever has the agent's host.
"""

from __future__ import annotations

import re
from typing import Final

from remote_protocol.limits import MAX_REQUIREMENT, MAX_REQUIREMENTS, MAX_REQUIREMENTS_SIZE
from remote_protocol.units import plain_size

_SHOWN: Final = 60
_LONGEST: Final = 1_000
"""Characters of a requirement without its hashes."""
_HASH: Final = re.compile(
    r"--hash=(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})"
)
# Spaces are single ones by then: these take linear time.
_VERSION: Final = r"(?:===|==|~=|!=|<=|>=|<|>) ?[A-Za-z0-9][A-Za-z0-9._*+!-]*"
_VERSIONS: Final = rf"{_VERSION}(?: ?, ?{_VERSION})*"
_REQUIREMENT: Final = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"
    r" ?(?:\[(?P<extras>[A-Za-z0-9._, -]*)\])?"
    rf" ?(?:\((?P<inner> ?{_VERSIONS} ?)\)|(?P<versions>{_VERSIONS}))?"
    r" ?(?:;(?P<marker>[A-Za-z0-9_ .,'\"<>=!~()*+-]+))?"
)


def check_requirements(value: object) -> object:
    """Lines before they are looked at one by one. ValueError when they are too many."""
    if isinstance(value, list | tuple):
        if len(value) > MAX_REQUIREMENTS:
            raise ValueError(f"a job has at most {MAX_REQUIREMENTS} requirements")
        if sum(len(line) for line in value if isinstance(line, str)) > MAX_REQUIREMENTS_SIZE:
            most = plain_size(MAX_REQUIREMENTS_SIZE)
            raise ValueError(f"the requirements of a job have at most {most} together")
    return value


def normalised(line: str) -> str:
    """A requirement in the one way of writing it, so that equal ones are equal texts. ValueError
    says in a sentence why it is none that a job may have."""
    if len(line) > MAX_REQUIREMENT:
        raise ValueError(
            f"a requirement has at most {plain_size(MAX_REQUIREMENT)}, with its hashes"
        )
    if "\n" in line.strip() or "\r" in line.strip():
        raise ValueError("a requirement is one line; give each an entry of its own")
    text = " ".join(line.split())
    shown = repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
    if text.startswith("-"):
        raise ValueError(
            f"{shown} is an option; a requirement is a name with versions, as requests==2.32.3. "
            "Where packages come from is set on the agent's host, [python] of its configuration"
        )
    requirement, *hashes = re.split(" (?=--)", text)
    for one in hashes:
        if not _HASH.fullmatch(one):
            raise ValueError(f"{shown} has an option other than --hash=sha256:…; leave it out")
    if len(requirement) > _LONGEST:
        raise ValueError(f"{shown} is longer than {_LONGEST} characters")
    match = _REQUIREMENT.fullmatch(requirement)
    if match is None:
        raise ValueError(_fault(requirement, shown))
    marker = (match["marker"] or "").strip()
    if any(word.startswith("-") for word in marker.split()):
        # pip takes all that follows a word with a hyphen for options.
        raise ValueError(f"{shown} has an option in its marker; leave it out")
    extras = ",".join(sorted({canonical(one) for one in _parts(match["extras"])}))
    versions = ",".join(
        sorted(_parts((match["inner"] or match["versions"] or "").replace(" ", "")))
    )
    whole = canonical(match["name"]) + (f"[{extras}]" if extras else "") + versions
    if marker:
        whole += f" ; {marker}"
    return " ".join([whole, *sorted(set(hashes))])


def canonical(name: str) -> str:
    """The name of a package in the one way of writing it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _parts(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _fault(requirement: str, shown: str) -> str:
    if "@" in requirement or "/" in requirement or "\\" in requirement:
        return (
            f"{shown} names a URL or a file; requirements are names with versions, as "
            "requests==2.32.3, and come from the index that is set on the agent's host"
        )
    return f"{shown} is no requirement; write a name with versions, as requests==2.32.3"
