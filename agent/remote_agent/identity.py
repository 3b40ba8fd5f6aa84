"""Who this agent is: server, name, token, in `identity.json` (0600). May touch that file only."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog

from remote_agent.errors import AgentError

log = structlog.get_logger("identity")

FILE: Final = "identity.json"


@dataclass(frozen=True, slots=True)
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
    settings: dict[str, Any] = field(default_factory=dict)
    """Queues, labels and capacity as given to `register`."""


def new_fingerprint() -> str:
    """128 random bits in hex."""
    return secrets.token_hex(16)


class DamagedIdentity(AgentError):
    """There is an identity, but it cannot be understood."""


def load_identity(state_dir: Path) -> Identity | None:
    """The stored identity; None before `register`.

    DamagedIdentity when it makes no sense, AgentError when it cannot be read.
    """
    path = state_dir / FILE
    try:
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
            log.warning("the identity could be read by others; its mode is 0600 again")
        known = json.loads(path.read_bytes())
        fields = {key: known[key] for key in Identity.__dataclass_fields__ if key in known}
        return Identity(**fields)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise AgentError(
            f"{path} cannot be read ({error.strerror}); run as the user who registered the agent"
        ) from None
    except OSError as error:
        raise AgentError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, TypeError) as error:
        raise DamagedIdentity(
            f"{path} is damaged ({error}); register again with --replace and a token"
        ) from None


def save_identity(state_dir: Path, identity: Identity) -> None:
    """Store the identity durably, readable by its owner only. AgentError when it cannot be."""
    path = state_dir / FILE
    temporary = path.with_suffix(".tmp")
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as file:
            json.dump({"v": 1, **asdict(identity)}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_directory(state_dir)
    except OSError as error:
        raise AgentError(
            f"{path} cannot be written ({error.strerror}); choose a directory with --state-dir"
        ) from None


def remove_identity(state_dir: Path) -> None:
    """Forget who we are; the local copies of logs stay."""
    (state_dir / FILE).unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    # A rename is durable once its directory is; not every system lets directories be opened.
    with suppress(PermissionError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
