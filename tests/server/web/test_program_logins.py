"""Codes of logins; the whole way is in the tests of the page that confirms."""

from __future__ import annotations

import re

import pytest

from remote_server.store import Store
from remote_server.web.program_logins import LETTERS, ProgramLogins, as_code, shown


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
