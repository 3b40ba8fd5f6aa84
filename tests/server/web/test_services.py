"""What the calls share: what happens at each commit."""

from __future__ import annotations

from remote_server.domain.change_set import ChangeSet
from remote_server.web.followers import TIMELINE
from tests.support.live_server import Live


async def test_a_commit_notifies_its_followers_only(live: Live) -> None:
    followers = live.services.followers
    with (
        followers.follow("a") as a,
        followers.follow("b") as b,
        followers.follow(TIMELINE) as everything,
    ):
        live.services.committed(ChangeSet(jobs={"a"}))
        assert (a.is_set(), b.is_set(), everything.is_set()) == (True, False, True)


async def test_tokens_are_looked_up_again_when_some_changed(live: Live) -> None:
    token = await live.token_for("viewer")
    assert (await live.get("/jobs", token)).status == 200
    (row,) = [t for t in await live.services.store.tokens("api") if t.name.startswith("viewer")]
    await live.services.store.revoke(row.id)
    (await live.get("/jobs", token)).problem(401, "invalid_token")
