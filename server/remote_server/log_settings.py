"""The section `[logs]` of the configuration: what becomes of logs that have ended. Pure."""

from __future__ import annotations

from pydantic import Field

from remote_protocol.configuration import Layers
from remote_protocol.quantities import Duration, Size
from remote_server.s3_settings import PlaceInBucket
from remote_server.setting_values import ExpandedPath, Part


class LogsPart(Part):
    """`[logs]`: what becomes of logs that have ended."""

    archive: PlaceInBucket | None = None
    """`s3://BUCKET/PREFIX` of an object storage, where packed logs are kept instead of a
    directory; `[s3]` says how it is reached. No other database's server may use it."""
    copies: PlaceInBucket | None = None
    """`s3://BUCKET/PREFIX` where the log of each job that ends is copied to, as a `.tgz` for people
    and other programs; nothing is ever read from there."""
    archive_dir: ExpandedPath | None = None
    """Where packed logs are kept, a directory that exists and that no other database's server uses,
    for example on a share; null: `archive` in the data directory."""

    pack_after: Duration = Field(default=900.0, ge=1.0)
    """Seconds between a log's end and its packing: most logs are looked at soon after their end."""
    pack_above: Size = Field(default=16 * 1024, ge=0)
    """Bytes; packing a shorter log would hardly free a block of the disk."""


def check(layers: Layers, logs: LogsPart) -> None:
    """Note what does not fit together."""
    if logs.archive is not None and logs.archive_dir is not None:
        layers.fault(("logs", "archive"), "archive_dir names another place; leave one of them out")
    if logs.archive is not None and logs.archive == logs.copies:
        layers.fault(("logs", "copies"), "is the archive, which has to be nobody else's place")
