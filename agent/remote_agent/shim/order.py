"""The start order: everything a shim has to know about its attempt, as one line of JSON. Reads.

Unknown fields are ignored and missing ones have defaults, so that shims and agents of different
versions understand each other.
"""

from __future__ import annotations

import json
import os
from typing import Any, Final, NamedTuple

from remote_agent.processes import READ, Folder, is_signal
from remote_agent.shim.layout import HINTS, ORDER, ORDER_VERSION, VERSION

_STEP: Final = 1 << 16
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))
_LARGEST: Final = 1 << 26
DEFAULT_SEGMENT: Final = 10_000_000
MIN_SEGMENTS: Final = 2


class OrderError(Exception):
    """The start order cannot be understood; the text is a sentence."""


class Order(NamedTuple):
    """What to run and within which limits. Durations in seconds, sizes in bytes."""

    key: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    timeout: float | None = None
    grace: float = 10.0
    stop_after: float | None = None
    """The job is ended when the server was away for so long."""
    stop_signal: str = "SIGTERM"
    memory_limit: int | None = None
    nice: int = 0
    cgroup: str | None = None
    """Delegated group below which the attempt gets one of its own."""
    cpu_weight: int | None = None
    io_weight: int | None = None
    max_log: int | None = None
    """Cap of the job's output; head and tail of it are kept."""
    segment_size: int = DEFAULT_SEGMENT
    segments: int = 10
    """Closed segments that may lie in the directory; beyond, the job's output waits."""
    reserve: int = 0
    """Free space of the disk below which the job's output waits."""
    keep_processes: bool = False
    stdin: bool = False
    """Whether the job gets an input; without, its standard input is empty."""
    merge: bool = False
    """One pipe for standard output and standard error."""
    sync: bool = True
    """Whether the end is forced to the disk before it counts."""
    hints: str = HINTS
    umask: int = 0o022
    """The job's; older agents say none."""
    uid: int | None = None
    """Whose the job's processes are; None: the agent's user's."""
    gid: int = 0
    groups: list[int] = []  # noqa: RUF012 - a field of a tuple, never changed
    """Supplementary groups."""
    sole: bool = False
    """Nobody but this job is this user: at its end everything of him is killed."""
    alone: bool = False
    """No program of the job gains privileges, as sudo does."""

    def line(self) -> bytes:
        """The order as the first line of its file."""
        # A shim that does not know of users would run the job as the agent's.
        version = VERSION if self.uid is None else ORDER_VERSION
        body = {"v": version, **self._asdict()}
        return _ENCODER.encode(body).encode() + b"\n"


def parse(line: bytes) -> Order:
    """The order in a line. OrderError when it is damaged or of a version that is too new."""
    try:
        body: Any = json.loads(line)
        if body["v"] > ORDER_VERSION:
            raise OrderError(
                f"the start order has version {body['v']}, this shim understands up to "
                f"{ORDER_VERSION}; "
                "restart the agent so that its shims are as new as itself"
            )
        order = Order(**{name: body[name] for name in Order._fields if name in body})
        if not is_signal(order.stop_signal):
            raise ValueError(f"no signal {order.stop_signal}")
        if not order.argv or not all(isinstance(word, str) for word in order.argv):
            raise ValueError("no program")
        if order.uid is not None and not _is_user(order):
            raise ValueError("no user")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise OrderError(f"the start order is damaged: {error!r}") from error
    return order._replace(segments=max(MIN_SEGMENTS, order.segments))


def _is_user(order: Order) -> bool:
    numbers = [order.uid, order.gid, *order.groups]
    return all(type(number) is int and 0 <= number < 1 << 32 for number in numbers) and (
        order.uid != 0
    )


def read_order(directory: Folder) -> Order:
    """The order in an attempt's directory. OrderError when it is damaged, OSError when absent."""
    descriptor = directory.open(ORDER, READ)
    try:
        line = b""
        while b"\n" not in line[-_STEP:] and len(line) < _LARGEST:
            part = os.read(descriptor, _STEP)
            if not part:
                raise OrderError("the start order is cut short")
            line += part
    finally:
        os.close(descriptor)
    return parse(line.partition(b"\n")[0])
