"""What needs attention, in words."""

from __future__ import annotations

import asyncio

from remote_server.domain.model import Demand, Token
from remote_server.queries import attention
from remote_server.queries.attention import Fitting
from remote_server.queries.fleet import Member
from tests.server.queries.test_fleet import member

GPU = Demand("gpu", (("gpu", "h100"),), None)


def test_a_queue_whose_jobs_cannot_start_is_named() -> None:
    fitting = Fitting(
        [
            member("a", queues=("up", "both")),
            member("b", "offline", queues=("down", "both")),
            member("c", "stale", queues=("down",)),
        ]
    )
    waiting = {"up": 3, "both": 1, "down": 14, "nobody": 1, "held": 2, "idle": 0}
    found = attention.of_queues(fitting, waiting, ["held"], {"down": 5.0})
    assert [(notice.tone, notice.lead, notice.more, notice.at) for notice in found] == [
        ("error", "No agent of queue down is online.", "14 jobs wait.", 5.0),
        ("warning", "Queue held is paused.", "2 jobs wait.", None),
        ("error", "No agent serves nobody.", "1 job waits.", None),
    ]
    assert found[0].path == "queues/down"


async def test_jobs_that_no_agent_can_ever_take_are_told_with_the_reason() -> None:
    fitting = Fitting(
        [
            member("a", "offline", queues=("gpu",), labels={"gpu": "a40", "site": "oslo"}),
            member("b", queues=("gpu",), labels={"gpu": "l4"}),
            member("c", queues=("default",), labels={"gpu": "h100"}),
            member("d", queues=("none",), capacity={"other": 2}),
        ]
    )
    demands = {
        GPU: 2,
        Demand("gpu", (("gpu", "h100"),), 0.5): 1,
        Demand("gpu", (("gpu", "l4"), ("site", "oslo")), None): 1,
        Demand("gpu", (("gpu", "a40"),), None): 7,
        Demand("default", (), None, "gone"): 1,
        Demand("default", (), None, "b"): 1,
        Demand("none", (), None): 1,
        Demand("nobody", (), None): 9,
    }
    found = {notice.more: notice.lead for notice in await attention.of_demands(fitting, demands)}
    assert found == {
        "no agent of queue gpu has the label gpu=h100.": "3 jobs can never start:",
        "no agent of queue gpu has all that they ask for.": "1 job can never start:",
        "the agent gone does not exist.": "1 job can never start:",
        "the agent b lacks the queue default or what they ask for.": "1 job can never start:",
        "no agent of queue none has all that they ask for.": "1 job can never start:",
    }


async def test_jobs_count_as_stuck_when_no_agent_that_gets_jobs_would_take_them() -> None:
    fitting = Fitting(
        [
            member("a", queues=("gpu",), labels={"gpu": "h100"}, paused=True),
            member("b", "offline", queues=("gpu",), labels={"gpu": "h100"}),
            member("c", queues=("gpu", "default")),
        ]
    )
    demands = {GPU: 5, Demand("gpu", (), None): 3, Demand("default", (), None): 2}
    assert await attention.stuck(fitting, demands) == 5


def test_agents_are_named_when_they_are_few_and_counted_when_they_are_many() -> None:
    members = [
        member("a", "stale", last_seen_at=7.0),
        member("b", accepting=False, reason="0.8 GiB of disk free"),
        *(member(f"o{n}", "offline") for n in range(4)),
        *(member(f"v{n}", version="0.3") for n in range(2)),
    ]
    found = attention.of_agents(members, "1")
    assert [(notice.lead, notice.path) for notice in found] == [
        ("a is stale:", "agents/a"),
        ("4 agents are offline:", "agents?state=offline"),
        ("b takes no jobs:", "agents/b"),
        ("2 agents run 0.3,", "agents?version=0.3"),
    ]
    assert found[0].at == 7.0
    assert found[2].more == "0.8 GiB of disk free."


def test_a_token_that_expires_is_told_to_admins() -> None:
    token = Token("1", "agent", "a", 1.0, agent="ber-1", expires_at=9.0)
    (notice,) = attention.of_tokens([token])
    assert (notice.lead, notice.at) == ("The token of agent ber-1 expires soon.", 9.0)
    assert notice.for_admins


def test_free_places_of_agents_that_get_no_jobs_are_held_back() -> None:
    members = [member("a"), member("b", paused=True), member("c", draining=True)]
    assert attention.held_places(members, {"a": 0, "b": 1, "c": 5}.__getitem__) == 1


async def test_others_run_while_many_demands_meet_many_agents() -> None:
    fitting = Fitting([member(f"a{number}", labels={"os": "linux"}) for number in range(50)])
    demands = {Demand("default", (("os", "linux"),), None, f"a{n}"): 1 for n in range(60)}
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(others())
    assert await attention.stuck(fitting, demands) == 10
    assert turns >= 60
    assert len(await attention.of_demands(fitting, demands)) == 10
    assert turns >= 120
    running.cancel()


def test_a_job_for_one_agent_is_judged_by_that_agent_alone() -> None:
    judged: list[str] = []

    def which(one: Member) -> bool:
        judged.append(one.row.name)
        return True

    fitting = Fitting([member(f"a{number}", queues=("q",)) for number in range(50)])
    assert fitting.can(Demand("q", (), None, "a49"), which)
    assert not fitting.can(Demand("other", (), None, "a7"), which)
    assert judged == ["a49", "a7"]


def test_an_archive_that_takes_no_logs_is_named() -> None:
    assert attention.of_archive("") == []
    (notice,) = attention.of_archive("the archive of logs /mnt is not there; mount it")
    assert (notice.tone, notice.path) == ("warning", "about")
    assert notice.more == "the archive of logs /mnt is not there; mount it."


def test_logs_that_cannot_be_copied_are_told() -> None:
    assert attention.of_copies("") == []
    (notice,) = attention.of_copies("s3://copies: access is denied")
    assert notice.more == "s3://copies: access is denied."
