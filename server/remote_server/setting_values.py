"""Values of settings that have a form of their own, and the base of a section. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict

from remote_protocol.urls import Proxy, collector_url
from remote_server.destinations import Networks

DEFAULT_PORT: Final = 8750


class Part(BaseModel):
    """Base of a section: an unknown key is a mistake."""

    # Built when the whole configuration is, as a part of it.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Address(NamedTuple):
    """Where to listen; port 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(value: object) -> Address:
    """`HOST:PORT`, `:PORT` (every interface) or `[IPV6]:PORT`. ValueError otherwise."""
    if isinstance(value, Address):
        return value
    host, colon, port = str(value).strip().rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not port.isdecimal() or int(port) > 65535 or (":" in host and bare == host):
        raise ValueError(f"{value!r} is not HOST:PORT, for example 127.0.0.1:{DEFAULT_PORT}")
    return Address(bare or "0.0.0.0", int(port))


def _path(value: object) -> object:
    return Path(value).expanduser() if isinstance(value, str) and value else value


def as_database_url(value: str) -> str:
    """The URL of a database. ValueError."""
    if "://" not in value:
        # Without the value: there may be a password in it.
        raise ValueError(
            "this is not a URL, for example sqlite:////srv/server.db or "
            "postgresql://USER@HOST/DATABASE"
        )
    return value


def as_texts(value: object) -> object:
    """A list of texts, or from the environment one text with commas. ValueError."""
    found = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(found, list | tuple) or not all(isinstance(one, str) for one in found):
        raise ValueError('is a list of texts, such as ["operators", "admins"]')
    if not all(found):
        raise ValueError("has an empty text in its list")
    return tuple(found)


def as_networks(value: object) -> object:
    """A list of networks, or from the environment one text with commas. ValueError."""
    found = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(found, list | tuple) or not all(isinstance(one, str) for one in found):
        raise ValueError('is a list of networks, such as ["10.1.0.0/16"]')
    Networks(found)
    return tuple(found)


def as_proxy(value: str) -> str:
    """The URL of a proxy. ValueError."""
    if not Proxy(value, "").usable or not value.startswith("http://"):
        # Without the value: there may be a password in it.
        raise ValueError("is not the URL of a proxy, for example http://proxy.example:3128")
    return value


ExpandedPath = Annotated[Path, BeforeValidator(_path)]
Texts = Annotated[tuple[str, ...], BeforeValidator(as_texts)]


def as_collector(value: str) -> str:
    """The URL of a collector of OpenTelemetry. ValueError, without the value."""
    return collector_url(
        value,
        "give what the collector wants to see as a header, by the variable"
        " OTEL_EXPORTER_OTLP_HEADERS",
    )
