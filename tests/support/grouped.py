"""Groups in a real store, and agents to choose from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from remote_protocol.api.groups import GroupCreate
from remote_protocol.messages import Hello, Platform, Settings
from remote_protocol.states import JobState
from remote_server.domain.groups import Group
from remote_server.store import Store
from tests.support.stored import NOW

OFFERED = {"command": ["true"]}


async def registered(
    store: Store,
    names: Iterable[str],
    labels: Mapping[str, str] | None = None,
    kinds: tuple[str, ...] = (),
) -> None:
    """Agents, as their first hello makes them."""
    for name in names:
        hello = Hello(
            oldest=1,
            newest=1,
            installation=name,
            session="0" * 26,
            agent_version="0.3",
            platform=Platform(kinds=list(kinds)),
            settings=Settings(labels=dict(labels or {}), capacity={"default": 4}),
        )
        await store.bump_epoch(name, hello, "10.0.0.1", NOW)


def group_of(**fields: Any) -> GroupCreate:
    """What is asked for: a job that runs `true`, with these fields of a job in `spec`."""
    spec = {name: value for name, value in (OFFERED | fields.pop("spec", {})).items() if value}
    return GroupCreate.model_validate({"spec": spec, **fields})


async def grouped(store: Store, now: float = NOW, **fields: Any) -> Group:
    """A group that was submitted."""
    group, _ = await store.submit_group(group_of(**fields), now)
    return group


def counted(group: Group) -> dict[str, int]:
    """How many members are in which state, without states that none is in."""
    return {state.value: group.counts[state] for state in JobState if group.counts[state]}
