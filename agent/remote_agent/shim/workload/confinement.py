"""What keeps a job within its limits from outside: its cgroup or a watch on its memory, its nice.

Touches /sys/fs/cgroup and /proc through `processes`. A group is made only where the order names a
delegated one and asks for something that needs it; else memory is checked four times a second.
What is ignored as `attr-defined` is done on POSIX only, where a job has a user and a niceness.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from remote_agent.processes import die_with_parent, kill_user, switch_user, tree_memory
from remote_agent.processes.cgroup import Group, Limits
from remote_agent.shim.order import Order

_CHECK_EVERY: Final = 0.25
"""Seconds between two looks at the memory of a job."""


class Confinement:
    """The limits of one attempt. `peak` is the most memory seen, in bytes."""

    def __init__(self, order: Order, guarded: bool) -> None:
        self._order = order
        self._fault: tuple[int, int] | None = None
        """Through it a child says why it did not become the job."""
        self._limit = order.memory_limit
        self._nice = order.nice
        self._guarded = guarded
        self._group: Group | None = None
        self._root = 0
        """Whose descendants the job is; 0: this process."""
        self.note = ""
        """A sentence when the group could not be had and the weaker way is used."""
        self.peak = 0
        if order.cgroup is not None:
            self._make_group(order.cgroup)
        watched = self._limit is not None and self._group is None
        self.check_at: float | None = 0.0 if watched else None
        """When `exceeded` wants to be asked, in monotonic seconds; None for never."""

    def _make_group(self, delegated: str) -> None:
        order = self._order
        limits = Limits(order.memory_limit, order.cpu_weight, order.io_weight)
        if any(limit is not None for limit in limits):
            try:
                self._group = Group.create(delegated, order.key, limits)
            except OSError as error:
                self.note = f"no cgroup for this attempt: {error}"

    @property
    def folder(self) -> str | None:
        """Folder of the attempt's cgroup, when it has one."""
        return self._group.folder if self._group else None

    def before_exec(self) -> Callable[[], None] | None:
        """What the child does before it becomes the job; None lets it be vforked, twice as fast.

        A shim without a launcher to guard it has the kernel kill its job when it dies.
        """
        user = self._order.uid
        if self._guarded and self._group is None and not self._nice and user is None:
            return None
        parent, join = os.getpid(), self._group.joiner() if self._group else None
        if user is not None:
            self._fault = os.pipe()

        def prepare() -> None:
            if join is not None:
                join()
            if self._nice:
                with suppress(OSError):  # an agent that is nice itself cannot be less so
                    os.nice(self._nice)  # type: ignore[attr-defined,unused-ignore]
            if user is not None:
                self._change(user)
            # After the change of the user, which would undo it.
            if not self._guarded:
                die_with_parent(parent)

        return prepare

    def take(self, job: int, root: int) -> None:
        """Put a process that exists within the limits; everything below `root` is the job's."""
        self._root = root
        if self._group is not None:
            self._group.take(job)

    def _change(self, uid: int) -> None:
        order = self._order
        step = f"it cannot become user {uid}"
        try:
            switch_user(uid, order.gid, list(order.groups), order.no_new_privileges)
            # It was entered as the agent's user, who may be allowed more.
            step = f"user {uid} cannot enter the working directory {order.cwd!r}"
            os.chdir(order.cwd)
        except OSError as error:
            if self._fault is not None:
                os.write(self._fault[1], f"{step}: {error.strerror}".encode())
            raise

    def give_streams(self, ends: Iterable[int]) -> None:
        """Let the job open its own streams again, as `> /dev/stderr` does."""
        user, group = self._order.uid, self._order.gid
        if user is not None:
            for end in ends:
                os.fchown(end, user, group)  # type: ignore[attr-defined,unused-ignore]

    def fault(self) -> str:
        """Why the child could not become what it should, after its start has failed."""
        if self._fault is None:
            return ""
        os.set_blocking(self._fault[0], False)  # type: ignore[attr-defined,unused-ignore]
        with suppress(BlockingIOError):
            return os.read(self._fault[0], 4096).decode(errors="replace")
        return ""

    def end_user(self) -> int:
        """Kill what is left of a user who was only this job; how many processes."""
        order = self._order
        return kill_user(order.uid) if order.exclusive_user and order.uid is not None else 0

    def exceeded(self, now: float) -> bool:
        """Whether the whole tree takes more memory than it may. Costs a walk through /proc."""
        if self._limit is None or self.check_at is None:
            return False
        self.check_at = now + _CHECK_EVERY
        me = self._root or os.getpid()
        used = tree_memory(me)
        if used > self._limit:
            used = tree_memory(me, exact=True)
        self.peak = max(self.peak, used)
        return used > self._limit

    def oom_kills(self) -> int:
        """How many processes the kernel killed for the group's limit."""
        if self._group is None:
            return 0
        self.peak = max(self.peak, self._group.peak())
        return self._group.oom_kills()

    def kill(self) -> bool:
        """Kill the whole group at once; False when there is none that can."""
        return self._group is not None and self._group.kill()

    def close(self) -> None:
        """Remove the group."""
        if self._group is not None:
            self._group.remove()
        for end in self._fault or ():
            os.close(end)
        self._fault = None
