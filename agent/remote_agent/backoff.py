"""How long to wait before the next attempt to reach the server. Pure: the randomness is given.

Full jitter: each wait is drawn uniformly from a window that doubles up to a longest one. Drawn
from the whole window each time, and never added up, so that the waits of a fleet that lost its
server at once do not cluster; bounded, so that nobody sleeps long after an outage.
"""

from __future__ import annotations

from typing import Final

FIRST: Final = 1.0
"""Window of the first wait, in seconds."""
LONGEST: Final = 60.0
"""Window of every later one at the most, unless `[server] max_reconnect_wait` says otherwise."""


def delay(attempt: int, uniform: float, longest: float = LONGEST) -> float:
    """Seconds to wait after `attempt` failures in a row (0 or more), less than `longest`.

    `uniform` is drawn uniformly from [0, 1). ValueError when it was not.
    """
    if attempt < 0 or not 0 <= uniform < 1:
        raise ValueError("give a count of failures and a number of [0, 1)")
    return float(uniform * min(longest, FIRST * 2 ** min(attempt, 10)))
