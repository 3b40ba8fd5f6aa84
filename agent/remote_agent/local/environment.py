"""What of a program's environment matters to the agent, to be compared: a service's is not that of
a shell. Pure.

Nothing that is given can be used by whoever reads it: tokens are left out, passwords are hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from remote_agent.config import ENV_PREFIX, env_names, file_names, without_password
from remote_agent.sections import SECTIONS

_WAY: Final = frozenset(
    ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
)
_SERVER: Final = frozenset(
    name
    for key in SECTIONS["server"].model_fields
    for name in (*env_names("server", key), *file_names("server", key))
)
_OTHERS: Final = frozenset(("HOME", "LANG", "LC_ALL", "PATH", "TZ"))
_SECRET: Final = f"{ENV_PREFIX}TOKEN"
Notable = dict[str, list[str]]
"""For each variable: its value as it may be shown, and a digest of the whole value."""


def notable(environ: Mapping[str, str]) -> Notable:
    """The variables that matter."""
    return {
        name: [without_password(value) or "", sha256(value.encode(errors="replace")).hexdigest()]
        for name, value in sorted(environ.items())
        if _matters(name) and name != _SECRET
    }


def _matters(name: str) -> bool:
    return decides_connection(name) or name in _OTHERS or name.startswith(ENV_PREFIX)


def decides_connection(name: str) -> bool:
    """Whether a variable decides how the server is reached."""
    return name.upper() in _WAY or name in _SERVER
