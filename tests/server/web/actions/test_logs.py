"""What is known of an attempt's log before it is read; the API's and the pages' tests use all."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from remote_protocol.attempt_id import AttemptId
from remote_server.domain.changes import Withdrawn
from remote_server.web.actions.logs import attempt_of, is_over, may_be_packed, stored_size
from tests.server.web.api.test_logs import begun, end, write
from tests.support.live_server import Live
from tests.support.stored import offered


def call_of(live: Live) -> Any:
    return SimpleNamespace(services=live.services)


async def test_an_attempt_and_its_log(live: Live) -> None:
    call, key = call_of(live), await begun(live)
    assert await attempt_of(call, AttemptId(key.job, 2)) is None
    assert not await is_over(call, key) and not await may_be_packed(call, key)
    assert await stored_size(call, key) == 0
    write(live, key, b"a\n")
    size = live.services.logs.length(key)
    assert await stored_size(call, key) == size
    await end(live, key)
    assert await is_over(call, key) and await may_be_packed(call, key)
    await live.services.logs.pack(key)
    assert await stored_size(call, key) == size


async def test_an_offer_handed_back_is_not_over_while_its_job_waits(live: Live) -> None:
    call, lease = call_of(live), await offered(live.services.store, now=time.time())
    await live.services.store.record("a", Withdrawn(lease.key, "full"), time.time())
    assert not await is_over(call, lease.key)
    await live.post(f"/jobs/{lease.key.job}/cancel")
    assert await is_over(call, lease.key)
