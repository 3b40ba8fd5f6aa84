"""Codes of logins; the whole way is in the tests of the page that confirms."""

from __future__ import annotations

import re
import time
from types import SimpleNamespace

import pytest

from remote_protocol.errors import ErrorCode
from remote_server.store import Store
from remote_server.store.logins import MOST, PENDING
from remote_server.web.http.problems import ApiProblem
from remote_server.web.program_logins import (
    INTERVAL,
    LETTERS,
    SLOWER,
    ProgramLogins,
    as_code,
    shown,
)


@pytest.mark.parametrize("typed", ["BCDF-GHJK", "bcdfghjk", " bcdf ghjk ", "BCDF–GHJK"])
def test_a_code_may_be_typed_in_many_ways(typed: str) -> None:
    assert as_code(typed) == "BCDFGHJK"


@pytest.mark.parametrize("typed", ["", "AEIOU", "é", "0123"])
def test_what_has_no_letter_of_a_code_is_none(typed: str) -> None:
    assert as_code(typed) == ""


def test_a_longer_code_is_another_one() -> None:
    assert as_code("BCDFGHJKL") != "BCDFGHJK" and len(as_code("B" * 1000)) == 9


async def test_codes_differ_and_have_no_vowels(tmp_path: object) -> None:
    store = await Store.open(f"{tmp_path}/server.db")
    logins = ProgramLogins(store)
    made = [await logins.begin("x", f"192.0.2.{number}") for number in range(20)]
    assert len({secret for secret, _ in made}) == len({code for _, code in made}) == 20
    assert all(re.fullmatch(f"[{LETTERS}]{{8}}", code) for _, code in made)
    assert all(re.fullmatch(r"[\w-]{43}", secret) for secret, _ in made)
    assert shown("BCDFGHJK") == "BCDF-GHJK" and len(LETTERS) == 20
    await store.close()


class Clock:
    """Seconds that only grow, as a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        # Not in the module `time` itself: the event loop looks at that one.
        clock = SimpleNamespace(time=time.time, monotonic=lambda: self.now)
        monkeypatch.setattr("remote_server.web.program_logins.time", clock)


async def test_who_asks_too_often_is_told_to_ask_more_slowly(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    store = await Store.open(f"{tmp_path}/server.db")
    logins = ProgramLogins(store)
    secret, _ = await logins.begin("x", "192.0.2.1")
    other, _ = await logins.begin("y", "192.0.2.1")
    assert (await logins.take(secret, "192.0.2.1"))[0] == PENDING
    clock.now += INTERVAL - 0.5
    with pytest.raises(ApiProblem, match="ask again in 6 s, and then every 8 s") as caught:
        await logins.take(secret, "192.0.2.1")
    assert caught.value.code is ErrorCode.TOO_MANY_REQUESTS
    assert caught.value.headers["Retry-After"] == "6"
    assert (await logins.take(other, "192.0.2.1"))[0] == PENDING, "each login has its own pace"
    clock.now += SLOWER + 0.5
    assert (await logins.take(secret, "192.0.2.1"))[0] == PENDING
    clock.now += INTERVAL + SLOWER
    assert (await logins.take(secret, "192.0.2.1"))[0] == PENDING
    await store.close()


async def test_no_more_questions_are_remembered_than_logins_may_wait(tmp_path: object) -> None:
    store = await Store.open(f"{tmp_path}/server.db")
    logins = ProgramLogins(store)
    for number in range(MOST + 10):
        logins._asked(f"{number}", 0.0)
    assert len(logins._questions) == MOST
    await store.close()
