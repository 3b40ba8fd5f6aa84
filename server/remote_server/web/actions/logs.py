"""What is known of an attempt's log before it is read."""

from __future__ import annotations

from functools import partial
from typing import Final

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState
from remote_server.domain.model import Attempt
from remote_server.web.logs.reading import LogReader
from remote_server.web.route import Call

OVER: Final = frozenset({AttemptState.ENDED, AttemptState.LOST})
"""An attempt in these states writes no more."""


async def attempt_of(call: Call, key: AttemptId) -> Attempt | None:
    """The attempt; None when the job has none of this number."""
    attempts = await call.services.store.attempts_of(key.job)
    return next((attempt for attempt in attempts if attempt.number == key.number), None)


async def is_over(call: Call, key: AttemptId) -> bool:
    """Whether nothing more will come to the attempt's log."""
    attempt = await attempt_of(call, key)
    if attempt is None or attempt.state in OVER:
        return True
    # A withdrawn attempt's number is used again, unless the job has ended without it.
    return not attempt.state.live and (await call.services.store.job(key.job)).state.terminal


async def may_be_packed(call: Call, key: AttemptId) -> bool:
    """Whether the log may be in the archive: nobody who reads another one depends on that."""
    attempt = await attempt_of(call, key)
    return attempt is not None and attempt.state is AttemptState.ENDED and attempt.log_size > 0


async def stored_size(call: Call, key: AttemptId) -> int:
    """Bytes of the log that are there. LogUnavailable."""
    logs = call.services.logs
    return await logs.size(key) if logs.at_hand(key) or await may_be_packed(call, key) else 0


def reader_of(call: Call, key: AttemptId) -> LogReader:
    """Reads the log of an attempt for this call."""
    services = call.services
    packed = partial(may_be_packed, call, key)
    return LogReader(services.logs, key, services.streams.turns.of(call.token.id), packed)
