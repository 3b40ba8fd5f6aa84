"""Wrong tokens are counted, for each address and in all; right ones are never kept waiting."""

from __future__ import annotations

import asyncio

import pytest

from remote_protocol.errors import ErrorCode
from remote_protocol.ids import TokenKind, make_token
from remote_server.web import failed_attempts
from remote_server.web.failed_attempts import EACH, EACH_EVERY, TOTAL, FailedAttempts
from remote_server.web.http.problems import ApiProblem
from tests.support.live_server import Live
from tests.support.visitor import visitor

WRONG = ApiProblem(ErrorCode.INVALID_TOKEN, "no")


def codes(attempts: FailedAttempts, address: str, count: int, now: float) -> list[ErrorCode]:
    return [attempts.judge(WRONG, address, now).code for _ in range(count)]


def test_an_address_has_so_many_and_gets_more_with_time() -> None:
    attempts = FailedAttempts()
    refused, slowed = ErrorCode.INVALID_TOKEN, ErrorCode.TOO_MANY_REQUESTS
    assert codes(attempts, "192.0.2.1", EACH + 2, 0.0) == [refused] * EACH + [slowed] * 2
    assert codes(attempts, "192.0.2.2", 1, 0.0) == [refused], "another address"
    problem = attempts.judge(WRONG, "192.0.2.1", 0.0)
    assert (problem.status, problem.headers) == (429, {"Retry-After": "2"})
    assert codes(attempts, "192.0.2.1", 2, EACH_EVERY) == [refused, slowed]
    # A host has a whole /64 of IPv6 addresses.
    some = [attempts.judge(WRONG, f"2001:db8::{n:x}", 9.0).code for n in range(1, EACH + 2)]
    assert some == [refused] * EACH + [slowed]


def test_all_addresses_together_have_a_bound_and_memory_too() -> None:
    attempts = FailedAttempts()
    told = [
        attempts.judge(WRONG, f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 0.0).code
        for n in range(TOTAL + failed_attempts.MOST_ADDRESSES)
    ]
    assert told.count(ErrorCode.INVALID_TOKEN) == TOTAL
    assert len(attempts._each) == failed_attempts.MOST_ADDRESSES


def test_what_is_no_wrong_token_is_not_counted() -> None:
    attempts = FailedAttempts()
    for code in (ErrorCode.MISSING_TOKEN, ErrorCode.FORBIDDEN, ErrorCode.WRONG_TOKEN_KIND):
        problem = ApiProblem(code, "x")
        assert all(attempts.judge(problem, "a", 0.0) is problem for _ in range(EACH * 2))


async def test_a_right_token_is_taken_while_wrong_ones_wait(live: Live) -> None:
    """Over the API and in the form of the sign-in, which share the count."""
    # It stands still: however slow the machine is, no address gets one more.
    live.services.authenticator.clock = lambda: 1000.0
    wrong = [make_token(TokenKind.API, number.to_bytes(32, "big")) for number in range(EACH * 2)]
    answers = await asyncio.gather(*(live.get("/whoami", token) for token in wrong))
    statuses = [answer.status for answer in answers]
    assert (statuses.count(401), statuses.count(429)) == (EACH, EACH)
    slowed = next(answer for answer in answers if answer.status == 429)
    slowed.problem(429, "too_many_requests")
    assert int(slowed.headers["Retry-After"]) >= 1
    assert (await live.get("/whoami")).status == 200
    async with visitor(live, None) as browser:
        seen = await browser.sign_in(wrong[0])
        assert (seen.status, "too many" in seen.words) == (429, True)
        assert int(seen.headers["Retry-After"]) >= 1
        assert (await browser.sign_in(live.token)).status == 303


def test_attempts_of_another_kind_are_called_by_their_name() -> None:
    attempts = FailedAttempts()
    for _ in range(EACH):
        attempts.count("logins", "192.0.2.1", 0.0)
    attempts.count("logins", "192.0.2.2", 0.0)
    with pytest.raises(ApiProblem, match="too many logins came from your network") as caught:
        attempts.count("logins", "192.0.2.1", 0.0)
    assert caught.value.headers == {"Retry-After": "2"}
