"""Making and revoking tokens, whichever way somebody comes."""

from __future__ import annotations

from tests.support.live_server import Live


async def test_a_token_covers_the_default_queue_unless_others_are_named(live: Live) -> None:
    await live.post("/queues", {"name": "gpu"})
    for given, queues, every in (
        ({}, ["default"], False),
        ({"queues": ["gpu", "default", "gpu"]}, ["gpu", "default"], False),
        ({"any_queue": True}, [], True),
    ):
        made = (await live.post("/registration-tokens", given)).body
        assert (made["queues"], made["any_queue"]) == (queues, every)
        made = (await live.post("/tokens", {"name": "t", "agent": "a", **given})).body
        assert (made["kind"], made["queues"], made["any_queue"]) == ("agent", queues, every)
    assert (await live.post("/tokens", {"name": "t"})).body["queues"] == []


async def test_a_token_is_revoked_as_what_it_is_and_never_by_itself(live: Live) -> None:
    api = (await live.post("/tokens", {"name": "t", "role": "admin"})).body
    enrolment = (await live.post("/registration-tokens", {})).body
    assert (await live.ask("DELETE", f"/registration-tokens/{api['id']}")).status == 404
    assert (await live.ask("DELETE", f"/tokens/{enrolment['id']}")).status == 404
    own = await live.ask("DELETE", f"/tokens/{api['id']}", token=api["token"])
    own.problem(409, "conflict")
    assert (await live.ask("DELETE", f"/tokens/{api['id']}")).status == 204
    assert (await live.ask("DELETE", f"/registration-tokens/{enrolment['id']}")).status == 204
