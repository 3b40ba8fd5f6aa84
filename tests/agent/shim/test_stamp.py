"""RFC 3339 stamps with nine digits."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from remote_agent.shim.stamp import Stamper
from remote_protocol.cri import STAMP_LENGTH


@given(st.lists(st.integers(0, 4_000_000_000 * 10**9), min_size=1, max_size=5))
def test_stamps(moments: list[int]) -> None:
    stamper = Stamper()
    for moment in moments:
        text = stamper.stamp(moment).decode()
        assert len(text) == STAMP_LENGTH and text.endswith("Z")
        seconds = datetime.fromisoformat(text[:19]).replace(tzinfo=UTC).timestamp()
        assert int(seconds) * 10**9 + int(text[20:29]) == moment
