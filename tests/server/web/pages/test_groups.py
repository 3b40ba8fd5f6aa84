"""The page of a group."""

from __future__ import annotations

import time

from tests.support.grouped import grouped, registered
from tests.support.live_server import Live
from tests.support.stored import finish, started
from tests.support.visitor import visitor


async def test_a_group_is_shown_and_cancelled(live: Live) -> None:
    store = live.services.store
    await registered(store, ["a", "b", "c"], {"role": "web"})
    group = await grouped(
        store,
        time.time(),
        spec={"name": "patch <b>"},
        select={"labels": {"role": "web"}},
        max_parallel=2,
        halt_on_failures=3,
    )
    job = (await store.members(group.id, 1))[0].job
    (lease,) = await store.assign([(job, "a")], time.time())
    await finish(store, await started(store, lease, time.time()), 3, now=time.time())
    async with visitor(live) as browser:
        seen = await browser.get(f"/groups/{group.id}")
        assert seen.status == 200
        assert "patch &lt;b&gt;" in seen.text and "role=web" in seen.text
        assert f'data-job="{job}" data-agent="a" data-state="failed"' in seen.text
        assert "2 jobs wait for agents that take no jobs now" in seen.words
        assert "when 3 jobs have failed" in seen.words
        shown = await browser.get(f"/jobs/{job}")
        assert f'groups/{group.id}">group</a>' in shown.text
        listed = await browser.get(f"/jobs?group={group.id}&state=failed")
        assert f'data-job="{job}"' in listed.text and f"group {group.id}" in listed.words
        done = await browser.send(f"/groups/{group.id}/cancel", reason="wrong hosts")
        assert done.status == 303
        after = await browser.get(f"/groups/{group.id}")
        assert "It was cancelled: wrong hosts." in after.words
        assert (await browser.get("/groups/01ARZ3NDEKTSV4RRFFQ69G5FAV")).status == 404
    async with visitor(live, "viewer") as browser:
        assert "Cancel the group" not in (await browser.get(f"/groups/{group.id}")).text


async def test_members_come_in_pages(live: Live) -> None:
    store = live.services.store
    await registered(store, [f"a{number:03}" for number in range(120)])
    group = await grouped(store, time.time())
    last = (await store.members(group.id, 100))[-1].job
    async with visitor(live) as browser:
        seen = await browser.get(f"/groups/{group.id}")
        assert seen.text.count("data-job=") == 100 and f"?after={last}" in seen.text
        rest = await browser.get(f"/groups/{group.id}?after={last}")
        assert rest.text.count("data-job=") == 20 and "a119" in rest.words
