"""Pages of short lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_server.web.http.paging import decode, encode, page
from remote_server.web.http.problems import ApiProblem


@given(st.sets(st.text(max_size=5)), st.integers(1, 4))
def test_pages_put_together_are_the_list(names: set[str], limit: int) -> None:
    seen: list[str] = []
    cursor = None
    while True:
        items, cursor = page(names, str, limit, cursor)
        assert len(items) <= limit
        seen += items
        if cursor is None:
            break
    assert seen == sorted(names)


@given(st.text(max_size=20))
def test_cursors_lead_back(name: str) -> None:
    assert decode(encode(name)) == name


@pytest.mark.parametrize("cursor", ["x", "____", "ünder"])
def test_foreign_cursors_are_refused(cursor: str) -> None:
    with pytest.raises(ApiProblem) as caught:
        decode(cursor)
    assert caught.value.errors[0]["field"] == "cursor"
