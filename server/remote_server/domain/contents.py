"""What the server keeps of contents, and how much of them a sender may send. Pure."""

from __future__ import annotations

from typing import NamedTuple

from remote_protocol.units import format_size


class Usage(NamedTuple):
    """Bytes on the disk."""

    total: int
    own: int
    """Of what one sender has sent."""


class Unneeded(NamedTuple):
    """A content that no unfinished job names."""

    digest: str
    size: int
    since: float
    """When it was sent or needed last, in Unix seconds."""


class ContentLimits(NamedTuple):
    """What the server keeps. Sizes in bytes, durations in seconds."""

    largest: int
    """One content."""
    quota: int
    """All that one token has sent."""
    total: int
    """All contents together."""
    ttl: float
    """How long one is kept that no unfinished job names."""
    upload_ttl: float
    """How long one is kept that is on its way, without a further part."""

    def too_large(self, size: int) -> str:
        """Why a content of this size is not taken, as a sentence; empty when it is."""
        if size <= self.largest:
            return ""
        return (
            f"the content has {format_size(size)}; {format_size(self.largest)} are the most that "
            "this server takes ([contents] max_size)"
        )

    def over_quota(self, own: int, size: int) -> str:
        """Why a sender of whom there are `own` bytes may not send so many more, as a sentence;
        empty when it may."""
        if own + size <= self.quota:
            return ""
        return (
            f"the contents that this token has sent would have more than {format_size(self.quota)} "
            "together ([contents] quota); those that no unfinished job names are deleted with time"
        )
