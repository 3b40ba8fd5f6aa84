"""Which agents a group gets, and what it may not be."""

from __future__ import annotations

import pytest

from remote_protocol.api.groups import GroupCreate
from remote_protocol.spec import JobSpec
from remote_server.errors import Conflict, JobTooLarge, NoAgentMatches
from remote_server.store import Store, group_submission
from remote_server.store.group_submission import matching, prepare
from tests.support.grouped import group_of, grouped, registered
from tests.support.stored import NOW


async def test_agents_match_by_queue_and_all_labels(store: Store) -> None:
    await registered(store, ["web-1"], {"role": "web", "site": "b"})
    await registered(store, ["web-2"], {"role": "web", "site": "c"})
    await registered(store, ["db"], {"role": "db", "site": "b"})

    async def found(spec: dict[str, object] | None = None, **labels: str) -> list[str]:
        wanted = group_of(spec=spec or {}, select={"labels": labels})
        return await store._database.read(lambda reader: matching(reader, wanted))

    assert await found() == ["db", "web-1", "web-2"]
    assert await found(role="web") == ["web-1", "web-2"]
    assert await found(role="web", site="b") == ["web-1"]
    assert await found({"labels": {"site": "b"}}, role="web") == ["web-1"]
    assert await found({"labels": {"role": "db"}}, role="web") == []
    assert await found({"queue": "other"}) == []


async def test_only_agents_that_run_its_kind_match(store: Store) -> None:
    await registered(store, ["plain"])
    wanted = GroupCreate.model_validate({"spec": {"kind": "container", "image": "busybox"}})
    with pytest.raises(NoAgentMatches, match="and runs jobs of the kind container"):
        await store.submit_group(wanted, NOW)
    await registered(store, ["engine"], kinds=("container",))
    group, _ = await store.submit_group(wanted, NOW)
    assert [one.agent for one in await store.members(group.id, 9)] == ["engine"]


async def test_a_large_specification_is_stored_whole(store: Store) -> None:
    await registered(store, ["a"])
    script = "echo hi\n" * 1000
    group = await grouped(
        store, spec={"command": None, "shell": "sh", "script": script, "env": {"A": "ü"}}
    )
    job = await store.job((await store.members(group.id, 1))[0].job)
    wanted = JobSpec.model_validate(
        {"shell": "sh", "script": script, "env": {"A": "ü"}, "agent": "a"}
    )
    assert job.spec == wanted
    page, _ = await store.jobs()
    assert page[0].abridged == ("script",) and page[0].spec.agent == "a"


async def test_a_group_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await registered(store, ["a", "b", "c"])
    monkeypatch.setattr(group_submission, "MAX_GROUP_MEMBERS", 2)
    with pytest.raises(Conflict, match="3 agents match; a group has 2 members at the most"):
        await grouped(store)
    monkeypatch.setattr(group_submission, "MAX_GROUP_MEMBERS", 3)
    monkeypatch.setattr(group_submission, "MAX_GROUP_SIZE", 1000)
    with pytest.raises(JobTooLarge, match="and 3 agents match: together more than the"):
        await grouped(store, spec={"command": ["x" * 400]})
    monkeypatch.setattr(group_submission, "MAX_WAITING", 5)
    await grouped(store)
    with pytest.raises(Conflict, match="3 members of other groups wait already, and 5 may"):
        await grouped(store)
    assert len(await store.groups(9)) == 1


def test_a_request_is_known_again() -> None:
    one = prepare(group_of(select={"labels": {"a": "1", "b": "2"}}), "g", NOW)
    same = prepare(group_of(select={"labels": {"b": "2", "a": "1"}}), "h", NOW + 1)
    other = prepare(group_of(select={"labels": {"a": "1"}}), "g", NOW)
    assert one.request == same.request != other.request
