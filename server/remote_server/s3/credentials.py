"""Keys from a profile's file, read anew from time to time. The library knows the other ways:
environment, web identity, container and instance. Reads the files that AWS's own programs read.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from obstore.store import S3Credential

_READ_AGAIN: Final = timedelta(minutes=5)
_LARGEST: Final = 1 << 20
_BEFORE: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Variables that say where keys come from; a profile that somebody names goes before all but the
first."""


class ProfileUnusable(Exception):
    """There is no key in the profile that was named; the text says why."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile of a file. Called, it gives the keys that stand there now."""

    file: Path
    name: str

    def __call__(self) -> S3Credential:
        """ProfileUnusable."""
        section = _section(self.file, self.name)
        key, secret = section.get("aws_access_key_id"), section.get("aws_secret_access_key")
        if not key or not secret:
            raise ProfileUnusable(
                f"the profile {self.name} in {self.file} has no aws_access_key_id and "
                "aws_secret_access_key; single sign-on and credential_process are not used: give "
                "keys by the environment, or use a role"
            )
        return {
            "access_key_id": key,
            "secret_access_key": secret,
            "token": section.get("aws_session_token"),
            "expires_at": datetime.now(UTC) + _READ_AGAIN,
        }


def profile_of(environ: Mapping[str, str]) -> Profile | None:
    """The profile that keys come from; None: the library finds them in another way."""
    named = environ.get("AWS_PROFILE")
    if environ.get(_BEFORE[0]) or (not named and any(environ.get(name) for name in _BEFORE)):
        return None
    given = environ.get("AWS_SHARED_CREDENTIALS_FILE")
    home = environ.get("HOME", "")
    if not given and not home:
        return None
    profile = Profile(Path(given or Path(home, ".aws", "credentials")), named or "default")
    if named:
        return profile
    try:
        return profile if _section(profile.file, profile.name) else None
    except ProfileUnusable:
        return None


def _section(file: Path, name: str) -> Mapping[str, str]:
    parser = configparser.RawConfigParser(default_section="\0")
    try:
        with file.open(encoding="utf-8") as opened:
            parser.read_string(opened.read(_LARGEST))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        # Without the parser's words: they quote lines of the file.
        why = error.strerror if isinstance(error, OSError) else "it is not a file of profiles"
        raise ProfileUnusable(f"the profile {name} cannot be read from {file}: {why}") from None
    return parser[name] if parser.has_section(name) else {}
