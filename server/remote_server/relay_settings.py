"""The sections `[relay.NAME]` of the configuration: where requests of jobs may go. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

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
