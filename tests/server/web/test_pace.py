"""How often open pages are drawn again."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from remote_server.web.pace import LONGEST, SHORTEST, Pace


def test_pages_share_what_one_alone_has() -> None:
    pace = Pace()
    assert pace.pause == SHORTEST
    with ExitStack() as open_pages:
        for number in range(1, 6):
            open_pages.enter_context(pace.page())
            assert pace.pause == number * SHORTEST
    assert pace.pause == SHORTEST


def test_no_page_grows_older_than_the_longest_pause() -> None:
    pace = Pace()
    with ExitStack() as open_pages:
        for _ in range(1000):
            open_pages.enter_context(pace.page())
        assert pace.pause == LONGEST


def test_a_page_that_breaks_off_is_open_no_longer() -> None:
    pace = Pace()
    with pytest.raises(ConnectionError), pace.page(), pace.page():
        raise ConnectionError
    assert pace.pause == SHORTEST
