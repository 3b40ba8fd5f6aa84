"""The section `[secrets]` of the configuration: where the keys of secrets come from. Pure."""

from __future__ import annotations

from pydantic import Field, SecretStr

from remote_protocol.configuration import Layers
from remote_server.setting_values import ExpandedPath, Part


class SecretsPart(Part):
    """`[secrets]`: what secrets of jobs are encrypted with in the database."""

    key: SecretStr | None = Field(default=None, max_length=4096)
    """By REMOTE_SERVER_SECRETS_KEY only, never in the file: base64 of 32 bytes; several, the newest
    last, with commas."""
    key_file: ExpandedPath | None = None
    """A file that only the server's user can read, where servers stand by for each other; null:
    `secrets.key` in the data directory, which the server makes with the first secret."""


def refuse_key(layers: Layers) -> None:
    """Note a fault when the file holds the key, which goes no further then."""
    section = layers.values.get("secrets")
    if isinstance(section, dict) and section.pop("key", None) is not None:
        layers.fault(
            ("secrets", "key"),
            "does not belong in a file that others may read: name a file of mode 0600 by "
            "key_file, or set REMOTE_SERVER_SECRETS_KEY",
        )
