"""The sections `[relay.NAME]` of the configuration: where requests of jobs may go. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from remote_protocol.configuration import Layers
from remote_protocol.ids import Name
from remote_protocol.relay import check_target
from remote_protocol.urls import receiver_url
from remote_server.setting_values import ExpandedPath, Part, as_texts


def as_base(value: str) -> str:
    """The URL that paths are joined to, without a slash at its end. ValueError, without the
    value."""
    parts = urlsplit(receiver_url(value.strip()))
    if parts.query:
        raise ValueError("the URL has a query (?); leave it out")
    check_target(parts.path or "/")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def as_prefix(value: str) -> str:
    """The beginning of all paths that may be asked for. ValueError."""
    if not (value.startswith("/") and value.endswith("/")) or "?" in value:
        raise ValueError("is the beginning of a path, with a slash at both ends, such as /items/")
    check_target(value)
    return value


def unknown_queues(relays: Mapping[str, RelayPart], known: Collection[str]) -> list[str]:
    """A sentence for each queue of a relay that does not exist."""
    return [
        f"[relay.{name}] queues has {queue}, which does not exist: make it "
        f"(remotectl queue create {queue}), or leave it out"
        for name, relay in sorted(relays.items())
        for queue in relay.queues
        if queue not in known
    ]


class RelayPart(Part):
    """`[relay.NAME]`: what jobs that ask for this relay reach through agent and server."""

    url: Annotated[str, AfterValidator(as_base)]
    """Where the server finds the program, such as http://airflow.internal:8080. Paths are joined
    to it."""
    prefix: Annotated[str, AfterValidator(as_prefix)] = "/"
    """Only paths that begin so go there."""
    queues: Annotated[tuple[Name, ...], BeforeValidator(as_texts), Field(min_length=1)]
    """Only jobs in these queues may have it."""
    ca_file: ExpandedPath | None = None
    """Certificates of the CAs that the program's certificate is checked with; null: the system's.
    """


_VARIABLE: Final = re.compile(
    rf"RELAY_(?P<name>[A-Z0-9]([A-Z0-9_]*[A-Z0-9])?)_(?P<key>{'|'.join(RelayPart.model_fields).upper()})"
)
"""What follows the prefix of the server's variables, such as `RELAY_AIRFLOW_URL`."""


def take_variables(layers: Layers, prefix: str, environ: Mapping[str, str]) -> None:
    """Put what variables say of relays over what the file says. A relay that only variables name
    has its name in small letters."""
    relays = layers.values.get("relay", {})
    if not isinstance(relays, dict):
        return
    spelled: dict[str, list[str]] = {}
    for name in relays:
        spelled.setdefault(_spelled(name), []).append(name)
    for variable, own, key in _given(prefix, environ):
        names = spelled.setdefault(own, [own.lower()])
        if len(names) > 1:
            layers.faults.append(
                f"{variable}: it may mean the relays {' and '.join(sorted(names))}; write this in "
                "the configuration file, or rename one of them"
            )
            continue
        section = relays.setdefault(names[0], {})
        if isinstance(section, dict):
            section[key] = environ[variable]
            layers.origins["relay", names[0], key] = variable
            layers.origins.setdefault(("relay", names[0]), variable)
    if relays:
        layers.values["relay"] = relays


def known_variables(prefix: str, environ: Mapping[str, str]) -> Iterator[str]:
    """All variables of the relays that some variable names."""
    for _, name, _ in _given(prefix, environ):
        for key in RelayPart.model_fields:
            yield f"{prefix}RELAY_{name}_{key}".upper()


def _given(prefix: str, environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Each variable of a relay that is not empty, the relay's name as it is spelled there, and the
    key."""
    for variable in sorted(environ):
        found = _VARIABLE.fullmatch(variable.removeprefix(prefix))
        if found and variable.startswith(prefix) and environ[variable]:
            yield variable, found["name"], found["key"].lower()


def _spelled(name: str) -> str:
    """A relay's name in a variable, which has neither hyphens nor dots."""
    return re.sub("[.-]", "_", name).upper()
