"""How much of contents a sender may send."""

from __future__ import annotations

from remote_server.domain.contents import ContentLimits

LIMITS = ContentLimits(1 << 30, 2 << 30, 3 << 30, 60.0, 60.0)


def test_one_content() -> None:
    assert LIMITS.too_large(1 << 30) == ""
    assert LIMITS.too_large(2 << 30).startswith("the content has 2.0 GiB; 1.0 GiB are the most")


def test_all_of_a_sender() -> None:
    assert LIMITS.over_quota(1 << 30, 1 << 30) == ""
    assert "more than 2.0 GiB together ([contents] quota)" in LIMITS.over_quota(2 << 30, 1)
