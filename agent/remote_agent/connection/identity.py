"""Who this agent is: server, name, token, in `identity.json` (0600), and which installation of
the agent this is, in `installation`. May touch those files only, and `identity.tmp`.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, field
from pathlib import Path
from typing import Any, Final

import structlog

from remote_agent.errors import AgentError
from remote_agent.local.state_dir import secure
from remote_agent.processes import (
    KEEP,
    READ,
    Folder,
    open_file,
    open_to_others,
    rename,
    restrict_to_owner,
    set_mode,
    sync,
)
from remote_protocol.frozen import frozen

log = structlog.get_logger("identity")

FILE: Final = "identity.json"
INSTALLATION: Final = "installation"
MACHINE_ID: Final = Path("/etc/machine-id")
_ROOM: Final = 4096
"""Bytes that are reserved for it: many times its size, and a block of most file systems."""
_KINDS: Final = {
    **dict.fromkeys(("ca_file", "proxy"), str | None),
    **dict.fromkeys(("ephemeral", "insecure"), bool),
    "settings": dict,
}
"""What is no text in it."""
_SHOWN: Final = ("server", "name")
_LARGEST: Final = 1024 * 1024
"""Bytes that are read of it at the most: settings have labels."""


@frozen
class Identity:
    """What `register` has agreed with a server."""

    server: str
    """Base URL of the server."""
    name: str
    token: str = field(repr=False)
    fingerprint: str = ""
    """Random text made once: tells the same host again from another one with its name."""
    ca_file: str | None = None
    proxy: str | None = field(default=None, repr=False)
    ephemeral: bool = False
    insecure: bool = False
    """Plain HTTP to another host was wanted."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Queues, labels and capacity as given to `register`."""


def new_fingerprint() -> str:
    """128 random bits in hex."""
    return secrets.token_hex(16)


def installation(state_dir: Path) -> str:
    """What tells this installation from one that has its identity copied: a text made at its
    first start and kept beside the identity, and the host. OSError when it cannot be kept."""
    path = state_dir / INSTALLATION
    try:
        own_text = path.read_text(encoding="ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        own_text = ""
    if not own_text:
        own_text = new_fingerprint()
        _write(path, f"{own_text}\n")
    host = b""
    with suppress(OSError):
        # machine-id(5): not to be shown to others as it is.
        host = MACHINE_ID.read_bytes()
    return hashlib.sha256(own_text.encode() + host).hexdigest()[:32]


class DamagedIdentity(AgentError):
    """There is an identity, but it cannot be understood."""


def load_identity(state_dir: Path) -> Identity | None:
    """The stored identity, closed to others; None before `register`.

    DamagedIdentity when it makes no sense, AgentError when it cannot be read, or is no file of the
    directory's owner: root reads that of an account whose jobs can put anything there.
    """
    return read_identity(state_dir, close=True)


def read_identity(state_dir: Path, close: bool = False) -> Identity | None:
    """The same; that others can read it stays as it is, unless `close` is set."""
    path = state_dir / FILE
    try:
        with Folder(state_dir, follow=True) as folder, open(folder.open(FILE, READ), "rb") as file:
            if close and open_to_others(os.fstat(file.fileno()).st_mode):
                set_mode(file.fileno(), 0o600)
                log.warning("the identity could be read by others; its mode is 0600 again")
            known = json.loads(file.read(_LARGEST))
        fields = {key: known[key] for key in Identity.__dataclass_fields__ if key in known}
        for key, value in fields.items():
            _check(key, value)
        return Identity(**fields)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise AgentError(
            f"{path} cannot be read ({error.strerror}); run as the user who registered the agent"
        ) from None
    except OSError as error:
        raise AgentError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedIdentity(
            f"{path} is damaged ({error}); register again with --replace and a token"
        ) from None


def _check(key: str, value: object) -> None:
    if not isinstance(value, _KINDS.get(key, str)):
        raise TypeError(f"{key} is of a wrong kind")
    if key in _SHOWN and not str(value).isprintable():
        raise ValueError(f"{key} has control characters")


def reserve_identity(state_dir: Path, fingerprint: str | None = None) -> str:
    """Make sure that an identity can be kept, before a server is asked for one. AgentError.

    A server would hold the name for a host that does not know it. The fingerprint is kept, too: a
    registration that was cut short is repeated by the same host.
    """
    temporary = _temporary(state_dir)
    if fingerprint is None:
        try:
            fingerprint = str(json.loads(temporary.read_bytes())["fingerprint"])
        except (OSError, ValueError, KeyError, TypeError):
            fingerprint = new_fingerprint()
    text = json.dumps({"fingerprint": fingerprint})
    with _writable(state_dir):
        _write(temporary, text.ljust(_ROOM))
        sync(state_dir)
    return fingerprint


def save_identity(state_dir: Path, identity: Identity) -> None:
    """Store the identity durably, readable by its owner only. AgentError when it cannot be."""
    temporary = _temporary(state_dir)
    with _writable(state_dir):
        _write(temporary, json.dumps({"v": 1, **asdict(identity)}))
        rename(temporary, state_dir / FILE)
        sync(state_dir)


def remove_identity(state_dir: Path) -> None:
    """Forget who we are; the local copies of logs stay."""
    (state_dir / FILE).unlink(missing_ok=True)


def _temporary(state_dir: Path) -> Path:
    return (state_dir / FILE).with_suffix(".tmp")


@contextmanager
def _writable(state_dir: Path) -> Iterator[None]:
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        restrict_to_owner(state_dir)
        secure(state_dir, passable=bool(state_dir.stat().st_mode & 0o011))
        yield
    except OSError as error:
        raise AgentError(
            f"{state_dir / FILE} cannot be written ({error.strerror}); free space there, or choose "
            "another directory with --state-dir"
        ) from None


def _write(path: Path, text: str) -> None:
    # Not truncated first: on a full disk the blocks that were reserved might be gone.
    descriptor = open_file(path, KEEP, 0o600)
    with open(descriptor, "w") as file:
        set_mode(descriptor, 0o600)
        file.write(text)
        file.truncate()
        file.flush()
        os.fsync(descriptor)
