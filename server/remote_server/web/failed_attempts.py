"""How many wrong tokens may come, from one address and from all. Pure: time is an argument.

A token has 256 random bits and cannot be guessed; but whoever tries, or repeats a revoked one for
ever, is told to wait, and the log stays readable. A right token is always taken: many people may
share an address, and nobody may lock an administrator out.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Final

from remote_protocol.errors import ErrorCode
from remote_server.networks import network
from remote_server.web.http.problems import ApiProblem

EACH: Final = 60
"""Wrong tokens in a row from one address: everybody behind a proxy has the proxy's."""
EACH_EVERY: Final = 2.0
"""Seconds after which an address has one more."""
TOTAL: Final = 1000
TOTAL_EVERY: Final = 0.02
MOST_ADDRESSES: Final = 4096
"""Addresses that are told apart; the one that was quiet for longest is forgotten first."""
_COUNTED: Final = frozenset({ErrorCode.INVALID_TOKEN, ErrorCode.EXPIRED_TOKEN})


class _Allowance:
    """So many at once, and one more every so often (a token bucket)."""

    __slots__ = ("_at", "_every", "_left", "_most")

    def __init__(self, most: int, every: float, now: float) -> None:
        self._most, self._every = most, every
        self._left, self._at = float(most), now

    def take(self, now: float) -> float:
        """Take one; seconds until there is one when there is none, else 0."""
        self._left = min(self._most, self._left + max(0.0, now - self._at) / self._every)
        self._at = now
        if self._left < 1:
            return (1 - self._left) * self._every
        self._left -= 1
        return 0.0


class FailedAttempts:
    """Counts wrong tokens. `now` in seconds of a clock that only grows."""

    def __init__(self) -> None:
        self._total = _Allowance(TOTAL, TOTAL_EVERY, 0.0)
        self._each: OrderedDict[str, _Allowance] = OrderedDict()

    def judge(self, problem: ApiProblem, address: str, now: float) -> ApiProblem:
        """What somebody is told who was not admitted: the problem itself, or that too many wrong
        tokens came before it."""
        if problem.code not in _COUNTED:
            return problem
        name = network(address)
        own = self._each.get(name)
        if own is None:
            own = self._each[name] = _Allowance(EACH, EACH_EVERY, now)
            if len(self._each) > MOST_ADDRESSES:
                self._each.popitem(last=False)
        self._each.move_to_end(name)
        wait = own.take(now) or self._total.take(now)
        if not wait:
            return problem
        seconds = max(1, math.ceil(wait))
        return ApiProblem(
            ErrorCode.TOO_MANY_REQUESTS,
            "this token is not valid, and too many such came in a short time; check it, and try "
            f"again in {seconds} s. A valid token is taken at once",
            headers={"Retry-After": str(seconds)},
        )

    def count(self, what: str, address: str, now: float) -> None:
        """One more attempt of another kind, called `what` in a sentence. ApiProblem when too many
        came before it."""
        attempt = ApiProblem(ErrorCode.INVALID_TOKEN, "")
        judged = self.judge(attempt, address, now)
        if judged is not attempt:
            seconds = judged.headers["Retry-After"]
            raise ApiProblem(
                ErrorCode.TOO_MANY_REQUESTS,
                f"too many {what} came from your network; try again in {seconds} s",
                headers=judged.headers,
            )
