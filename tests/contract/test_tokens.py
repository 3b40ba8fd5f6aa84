"""Every call that asks for a token asks everybody: no token, a wrong one, each kind and role."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.contract.conftest import Site

ROLES = ("viewer", "operator", "admin")
KINDS = {"rpt_": ROLES, "rrt_": ("registration",), "rat_": ("agent",)}


@pytest.fixture(scope="module")
def guarded(site: Site) -> list[tuple[str, str, dict[str, Any]]]:
    """Every call with a token: method, path without placeholders, and what is said of it."""
    document = httpx.get(site.document).json()
    found = [
        (method.upper(), re.sub(r"\{\w+\}", "no-such-thing", path), said)
        for path, methods in document["paths"].items()
        for method, said in methods.items()
        if said["security"] == [{"token": []}]
    ]
    assert len(found) > 50
    return found


@pytest.fixture(scope="module")
def http(site: Site) -> Iterator[httpx.Client]:
    """A client of the site."""
    with httpx.Client(base_url=site.stack.url, timeout=120) as client:
        yield client


def ask(http: httpx.Client, method: str, path: str, token: str | None) -> tuple[int, str]:
    """Status and code of an answer."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with http.stream(method, path, headers=headers, params={"no_such_parameter": "1"}) as answer:
        if "json" not in answer.headers.get("Content-Type", "") or answer.status_code < 400:
            return answer.status_code, ""
        answer.read()
        return answer.status_code, str(answer.json().get("code"))


def test_nobody_calls_without_a_token_or_with_a_wrong_one(
    http: httpx.Client, guarded: list[tuple[str, str, dict[str, Any]]]
) -> None:
    for method, path, _ in guarded:
        assert ask(http, method, path, None) == (401, "missing_token"), path
    method, path, _ = guarded[0]
    wrong = ask(http, method, path, "rpt_" + "x" * 43)
    # Other tests of the stage have given many wrong ones from this address.
    assert wrong in ((401, "invalid_token"), (429, "too_many_requests"))


@pytest.mark.parametrize("bearer", [*ROLES[:2], "registration"])
def test_every_call_takes_only_the_tokens_that_it_names(
    http: httpx.Client,
    site: Site,
    guarded: list[tuple[str, str, dict[str, Any]]],
    bearer: str,
) -> None:
    refused = 0
    for method, path, said in guarded:
        kinds = [bearers for prefix, bearers in KINDS.items() if prefix in said["description"]]
        least = said.get("x-required-role")
        if not any(bearer in bearers for bearers in kinds):
            expected = (403, "wrong_token_kind")
        elif least and ROLES.index(bearer) < ROLES.index(least):
            expected = (403, "forbidden")
        else:
            continue
        refused += 1
        assert ask(http, method, path, site.tokens[bearer]) == expected, (method, path)
    assert refused >= 5
