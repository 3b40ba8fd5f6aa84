"""The members of groups that wait for their turn, as the dispatcher looks for those to start. Pure.

They stand apart from the jobs that are ready: a member waits for one agent, perhaps for days, and
ten thousand of them must not be looked at whenever another job is given. An agent that cannot take
its member is not looked at again before it has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from remote_server.domain.change_set import ChangeSet, Held
from remote_server.domain.demand import MAX_BACKOFF
from remote_server.domain.model import Demand, Waiting


class Able(NamedTuple):
    """What is known of the agents."""

    takes: Callable[[str, Demand], bool]
    """Whether the agent of a demand has any room, and may be offered this job."""
    fits: Callable[[Demand], bool]
    """Whether such a job fits on it now."""


class HeldGroup:
    """A group with its members that wait."""

    def __init__(
        self, demand: Demand, priority: int, room: int | None, held: dict[str, Held]
    ) -> None:
        self.demand = demand
        """Of its members, but for their agents."""
        self.priority = priority
        self.room = room
        """How many more may start; None: all."""
        self.stopped = False
        self.held = held
        """By agent, in the order in which they start."""
        self.timed = {agent for agent, one in held.items() if one.not_before is not None}
        """Agents whose members wait for a time."""
        self.open: dict[str, None] = dict.fromkeys(held)
        """Agents that may be able to take theirs: all others have to change first."""

    def candidates(self, agents: Collection[str] | None, able: Able, most: int) -> list[Waiting]:
        """Members that may start now, at most `most` and as many as there is room for; `agents`:
        those that have changed, None: all."""
        if agents is None:
            self.open = dict.fromkeys(self.held)
        else:
            self.open |= dict.fromkeys(agent for agent in agents if agent in self.held)
        room = most if self.room is None else min(self.room, most)
        if self.stopped or room <= 0:
            return []
        fitting: list[Waiting] = []
        large: list[Waiting] = []
        closed: list[str] = []
        for agent in self.open:
            held = self.held[agent]
            demand = self.demand._replace(agent=agent)
            if held.not_before is not None or not able.takes(held.job, demand):
                closed.append(agent)
                continue
            found = fitting if able.fits(demand) else large
            found.append(Waiting(held.job, self.priority, demand))
            if len(fitting) == room or len(large) == most:
                break
        for agent in closed:
            del self.open[agent]
        # What does not fit yet has the agent kept free for it, but takes nobody's turn.
        return (fitting + large)[:room]

    def put(self, agent: str, held: Held | None) -> None:
        """The member of an agent waits (again), or does not any more."""
        self.timed.discard(agent)
        if held is None:
            self.held.pop(agent, None)
            self.open.pop(agent, None)
            return
        self.held[agent] = held
        self.open[agent] = None
        if held.not_before is not None:
            self.timed.add(agent)

    def release(self, now: float) -> None:
        """Let members start for whose next attempt it is time."""
        for agent in list(self.timed):
            held = self.held[agent]
            # A wall clock that was set back makes nobody wait for longer than the longest pause.
            if held.not_before is None or not now < held.not_before <= now + MAX_BACKOFF:
                self.put(agent, held._replace(not_before=None))


class HeldMembers:
    """All groups with members that wait, kept up by the change sets of commits."""

    def __init__(self, groups: Iterable[str]) -> None:
        self.unknown: set[str] = set(groups)
        """Groups that have to be read."""
        self._groups: dict[str, HeldGroup] = {}

    def __bool__(self) -> bool:
        return bool(self._groups)

    def learn(self, group: str, found: HeldGroup | None) -> None:
        """A group as it was read; None: nothing of it waits."""
        self.unknown.discard(group)
        if found is not None:
            self._groups[group] = found

    def follow(self, changes: ChangeSet) -> None:
        """Hear of a commit."""
        for group, news in changes.groups.items():
            known = self._groups.get(group)
            if known is None:
                if news.waiting:
                    self.unknown.add(group)
                continue
            known.room, known.stopped = news.room, news.stopped
        for (group, agent), held in changes.held.items():
            known = self._groups.get(group)
            if known is None:
                continue
            known.put(agent, held)
            if not known.held:
                del self._groups[group]

    def candidates(
        self,
        agents: Collection[str] | None,
        able: Able,
        now: float,
        most: int,
        paused: Collection[str] = (),
    ) -> list[Waiting]:
        """Members that may start now, in rank order, `most` of each group at the most."""
        for group in self._groups.values():
            group.release(now)
        found = [
            waiting
            for group in self._groups.values()
            for waiting in group.candidates(
                agents, able, 0 if group.demand.queue in paused else most
            )
        ]
        return sorted(found, key=Waiting.rank)

    def unsettled(self) -> bool:
        """Whether another look may find more."""
        return any(
            group.open and not group.stopped and group.room != 0 for group in self._groups.values()
        )

    def due(self) -> float | None:
        """When the next attempt of some member may be made, if one waits for that."""
        times = (
            group.held[agent].not_before for group in self._groups.values() for agent in group.timed
        )
        return min((at for at in times if at is not None), default=None)
