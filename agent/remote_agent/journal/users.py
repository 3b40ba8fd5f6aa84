"""Whom jobs run as: the agent's user, one other user, or a user of its own for each attempt.

Reads the host's users and processes. Which attempt has which user stands in its start order, so
it is known again after any restart.
"""

from __future__ import annotations

from typing import Final

from remote_agent.errors import ConfigError
from remote_agent.processes import (
    Account,
    account,
    accounts_between,
    living_users,
    missing_privileges,
    unnamed_account,
)
from remote_agent.sections import JobsPart
from remote_agent.values import UserRange
from remote_protocol.attempt_id import AttemptId

_CURE: Final = "start it as root, or leave [jobs] run_as and user_range out"
_SHOWN: Final = 3


class NoUserFree(Exception):
    """Every user of the range is taken; the text is a sentence."""


class Users:
    """The users of this agent's jobs. ConfigError names all that is wrong with `[jobs]`."""

    def __init__(self, jobs: JobsPart) -> None:
        faults = []
        self.one: Account | None = None
        """Whom all jobs run as."""
        self.range = jobs.user_range
        """The users of whom each attempt gets one."""
        self._held: dict[AttemptId, int] = {}
        self._next = 0 if self.range is None else self.range.first
        if jobs.run_as is not None:
            try:
                self.one = account(jobs.run_as)
            except (KeyError, OverflowError):
                faults.append(
                    f"[jobs] run_as: this host has no user {jobs.run_as!r}; make it, for example "
                    f"useradd --system --no-create-home {jobs.run_as}"
                )
            if self.one is not None and self.one.uid == 0:
                faults.append(
                    "[jobs] run_as: jobs of root would reach the agent; name another user"
                )
        if self.range is not None and (people := accounts_between(*self.range)):
            shown = ", ".join(people[:_SHOWN])
            faults.append(
                f"[jobs] user_range: {self.range} holds numbers of {shown}, to whom jobs would "
                "belong; name numbers that nobody has"
            )
        if jobs.separate and (missing := missing_privileges()):
            faults.append(
                "[jobs]: this agent cannot give its jobs to other users; it lacks "
                f"{', '.join(missing)}: {_CURE}"
            )
        if faults:
            raise ConfigError(*faults)

    @property
    def separate(self) -> bool:
        """Whether jobs run as other users than the agent."""
        return self.one is not None or self.range is not None

    @property
    def words(self) -> str:
        """Whom jobs run as, for people."""
        if self.one is not None:
            return f"{self.one.name} (uid {self.one.uid})"
        if self.range is not None:
            return f"a user of its own for each attempt (uid {self.range})"
        return "the agent's own user: jobs can reach the agent and each other"

    def take(self, key: AttemptId) -> Account | None:
        """The user for an attempt; None for the agent's own. NoUserFree when all are taken."""
        if self.range is None:
            return self.one
        # One that somebody is, or was moments ago, is not given again: what a job has left where
        # anybody may write would be the next one's, so that each comes back as late as possible.
        taken = living_users().union(self._held.values())
        for step in range(self.range.size):
            uid = _after(self.range, self._next, step)
            if uid not in taken:
                self._held[key] = uid
                self._next = _after(self.range, uid, 1)
                return unnamed_account(uid)
        raise NoUserFree(
            f"all {self.range.size} users of [jobs] user_range are taken; make the range larger"
        )

    def hold(self, key: AttemptId, uid: int | None) -> None:
        """An attempt that was found on the disk has this user."""
        if self.range is not None and uid is not None:
            self._held[key] = uid
            if self.range.first <= uid <= self.range.last:
                self._next = _after(self.range, uid, 1)

    def of(self, key: AttemptId) -> int | None:
        """The user whom only this attempt's job is; None when there is none."""
        return self._held.get(key)

    def owner(self, key: AttemptId) -> tuple[int, int] | None:
        """User and group of what belongs to an attempt's job; None: the agent's own."""
        if self.range is None:
            return None if self.one is None else (self.one.uid, self.one.gid)
        uid = self._held.get(key)
        if uid is None:
            return None
        user = unnamed_account(uid)
        return user.uid, user.gid

    def release(self, key: AttemptId) -> None:
        """Nothing of an attempt's user is left."""
        self._held.pop(key, None)


def _after(users: UserRange, uid: int, step: int) -> int:
    return users.first + (uid - users.first + step) % users.size
