"""What values of the configuration look like: labels, capacities, URLs, users. Pure.

Each takes a text as people write it, in a file, a variable or a flag, and gives what it means.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from remote_protocol.urls import collector_url, names_place

ENGINES: Final = ("docker", "podman")
"""Programs that run containers, in the order in which they are looked for."""
_MOST_USERS: Final = (1 << 32) - 2
_LARGEST_RANGE: Final = 100_000
_LAST_PORT: Final = 65_535
_ENV_PATTERN: Final = re.compile(r"[A-Za-z_*][A-Za-z0-9_*]{0,127}")


def expand_path(value: object) -> object:
    """A path, `~` for the home directory."""
    return Path(value).expanduser() if isinstance(value, str) and value else value


def package_index(text: str) -> str:
    """The URL of an index of Python packages. ValueError without the URL, which may hold a
    password."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it must begin with https:// or http:// and name a host")
    if "@" in parts.netloc:
        # It would reach jobs, their files and their output.
        raise ValueError(
            "it holds a user or a password; put them into a netrc file (machine HOST login USER "
            "password PASSWORD) and name that by [python] netrc"
        )
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError("it has spaces or control characters")
    return text


def split_list(value: object) -> object:
    """A list, from one separated by commas too."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def parse_labels(value: object) -> object:
    """Labels from `a=1,b=2` or a list of `K=V`; a table stays. ValueError when a `=` is missing."""
    parts = split_list(value)
    if not isinstance(parts, list):
        return parts
    pairs = [str(part).partition("=") for part in parts if part]
    for key, equals, text in pairs:
        if not equals or not key:
            given = f"{key}{equals}{text}"
            raise ValueError(f"{given!r} is not KEY=VALUE, for example gpu=true")
    return {key: text for key, _, text in pairs}


def parse_environments(value: object) -> object:
    """Environments from `a=/opt/a,b=/opt/b` or a table. ValueError when a `=` is missing."""
    parts = split_list(value)
    if not isinstance(parts, list):
        return parts
    pairs = [str(part).partition("=") for part in parts if part]
    for name, equals, path in pairs:
        if not equals or not path:
            raise ValueError(f"{name!r} is not NAME=PATH, for example airflow=/opt/airflow")
    return {name: path for name, _, path in pairs}


def parse_capacity(value: object) -> object:
    """Capacity from `8`, `default=4,monitors=10` or a table. ValueError otherwise."""
    if isinstance(value, int) and not isinstance(value, bool):
        return {"default": value}
    if isinstance(value, str):
        if value.strip().isdecimal():
            return {"default": int(value)}
        pairs = [part.partition("=") for part in value.split(",")]
        if not all(equals and number.strip().isdecimal() for _, equals, number in pairs):
            raise ValueError(
                f"{value!r} is neither a number of jobs nor a list like default=4,monitors=10"
            )
        names = [name.strip() for name, _, _ in pairs]
        if double := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"{value!r} names {double!r} twice")
        return {name.strip(): int(number) for name, _, number in pairs}
    return value


def proxy_url(text: str) -> str:
    """A proxy's URL; its password never gets into the ValueError."""
    text = text.strip()
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme != "http":
        raise ValueError(
            f"proxies of the kind {parts.scheme}:// are not supported; "
            "write http://[user:password@]host:port"
        )
    if not names_place(parts):
        raise ValueError("'the proxy' does not name a host and a port from 1 to 65535")
    return f"http://{parts.netloc}"


def _host_and_port(text: str, example: str) -> tuple[str, int]:
    host, _, port = text.strip().rpartition(":")
    if not port.isascii() or not port.isdecimal() or int(port) > _LAST_PORT:
        raise ValueError(f"{text!r} is not HOST:PORT, for example {example}")
    return host, int(port)


def statsd_address(text: str) -> str:
    """`HOST:PORT` or `[IPV6]:PORT` of a StatsD. ValueError otherwise."""
    host, port = _host_and_port(text, "127.0.0.1:8125")
    bracketed = host.startswith("[") and host.endswith("]")
    if not host.strip("[]") or not port or (":" in host and not bracketed):
        raise ValueError(f"{text!r} is not HOST:PORT, for example 127.0.0.1:8125")
    return f"{host}:{port}"


def otlp_url(text: str) -> str:
    """The URL of a collector of OpenTelemetry. ValueError, without the value."""
    return collector_url(
        text, "leave it out, and let a collector on this host add what another one wants to see"
    )


def loopback_address(text: str) -> str:
    """`HOST:PORT` on the loopback interface, from that, `:PORT` or `PORT`. ValueError otherwise."""
    host, port = _host_and_port(text, "127.0.0.1:9087")
    if host in ("", "localhost"):
        host = "127.0.0.1"
    if host not in ("127.0.0.1", "[::1]"):
        raise ValueError(
            f"{text!r} is no address of the loopback interface: the agent opens no port to others."
            " Give 127.0.0.1:9087, and let something on this host pass the metrics on"
        )
    return f"{host}:{port}"


def check_cgroup(text: str) -> str:
    """`auto`, `off` or an absolute path. ValueError otherwise."""
    if text not in ("auto", "off") and not text.startswith("/"):
        raise ValueError(f"{text!r} is neither auto, nor off, nor the absolute path of a cgroup")
    return text


def check_env_pattern(text: str) -> str:
    """The name of a variable, with `*` for any characters. ValueError otherwise."""
    if not _ENV_PATTERN.fullmatch(text):
        raise ValueError(
            f"{text[:128]!r} is no name of a variable: write letters, digits and _, and * for any "
            "characters, as in DB_*"
        )
    return text


def check_engine(text: str) -> str:
    """`auto`, `off` or the path of a program called docker or podman. ValueError otherwise."""
    name = text.replace("\\", "/").rpartition("/")[2]
    if text not in ("auto", "off") and (not text.startswith("/") or name not in ENGINES):
        raise ValueError(
            f"{text!r} is neither auto, nor off, nor the absolute path of a program called "
            f"{' or '.join(ENGINES)}"
        )
    return text


def check_mounts(texts: list[str]) -> list[str]:
    """Absolute paths, each perhaps with `:ro`. ValueError for others."""
    for text in texts:
        path = text.removesuffix(":ro")
        if not path.startswith("/") or path != os.path.normpath(path) or ":" in path:
            raise ValueError(
                f"{text!r} is no directory that jobs could mount: write an absolute path without "
                "a colon, or that and :ro"
            )
    return texts


class UserRange(NamedTuple):
    """Numbers of users, from the first to the last."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    @property
    def size(self) -> int:
        """How many."""
        return self.last - self.first + 1


def parse_user_range(value: object) -> object:
    """A range of users from `80000-89999`. ValueError otherwise."""
    if not isinstance(value, str):
        return value
    first, dash, last = (part.strip() for part in value.partition("-"))
    if not dash or not first.isdecimal() or not last.isdecimal():
        raise ValueError(f"{value!r} is no range of users, such as 80000-89999")
    found = UserRange(int(first), int(last))
    if not 0 < found.first <= found.last < _MOST_USERS or found.size > _LARGEST_RANGE:
        raise ValueError(
            f"{value!r} must be a range of up to {_LARGEST_RANGE} numbers from 1 to {_MOST_USERS}"
        )
    return found


def parse_umask(value: object) -> object:
    """A umask from its octal digits. ValueError otherwise."""
    if isinstance(value, str):
        try:
            return int(value, 8)
        except ValueError:
            raise ValueError(f"{value!r} is no octal number, such as 027") from None
    return value


def open_way_words(url: str) -> str:
    """Why such a server is refused, and what helps."""
    return (
        f"{url} is not encrypted: token and jobs could be read on the way. Use https://, or say "
        "--insecure (REMOTE_INSECURE=1) where everybody on the way is trusted"
    )


def check_capacity(capacity: dict[str, int]) -> dict[str, int]:
    """A capacity that lets any job run. ValueError otherwise."""
    if not any(capacity.values()):
        raise ValueError("it lets no job run; give a number from 1 on, or pause the agent instead")
    return capacity
