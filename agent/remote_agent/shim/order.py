"""The start order: everything a shim has to know about its attempt, as one line of JSON. Reads.

The agent's planner fills it. Next to what every job has, there are four seams for kinds of jobs:

- `workload` names what runs the job (`shim.workload`), `options` is what only that one knows;
- `payload` is given to the job on its standard input, before what is streamed (`stdin`);
- with `private_input` it comes as secrets do, and lies on no disk, either; `payload_secrets` names
  secrets that are no variables but stand before it, as a line of JSON;
- `secrets` names variables of the job's environment whose values must never lie on a disk: they are
  not in the order but come with the request, `LauncherClient.request(directory, secrets)`. A shim
  does not begin an attempt without them, so an agent that was restarted gives them again;
- `filter` names what the job's output passes before anything of it is kept (`shim.filters`).

Unknown fields are ignored and missing ones have defaults, so that shims and agents of different
versions understand each other.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from remote_agent.processes import READ, Folder, is_signal
from remote_agent.shim.json_text import decode, encode
from remote_agent.shim.layout import AGENT_SOCKET, ORDER, VERSION

_STEP: Final = 1 << 16
_LARGEST: Final = 1 << 26
MAX_PAYLOAD: Final = 1 << 20
"""Bytes of a payload at the most: it is in the order; what is larger is streamed as an input."""
DEFAULT_SEGMENT: Final = 10_000_000
MIN_SEGMENTS: Final = 2
MASK: Final = "mask"
"""The filter that hides secrets."""


def _encode(body: Any) -> bytes:
    return encode(body).encode()


class OrderError(Exception):
    """The start order cannot be understood; the text is a sentence."""


class Order(NamedTuple):
    """What to run and within which limits. Durations in seconds, sizes in bytes."""

    key: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    workload: str = "process"
    """What runs the job, by its name in `shim.workload.WORKLOADS`."""
    options: dict[str, Any] = {}  # noqa: RUF012 - a field of a tuple, never changed
    """What only this workload understands, such as the image of a container."""
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
    """Whether an input is streamed to the job."""
    payload: bytes = b""
    """What the job finds on its standard input first; with neither, that is empty."""
    private_input: bool = False
    """The payload comes with the request, among the secrets (`PRIVATE_INPUT`)."""
    payload_secrets: list[str] = []  # noqa: RUF012 - a field of a tuple, never changed
    """Names of secrets that the payload begins with, as one line: an object with their values."""
    secrets: list[str] = []  # noqa: RUF012 - a field of a tuple, never changed
    """Names of the variables whose values come with the request."""
    secret_files: list[str] = []  # noqa: RUF012 - a field of a tuple, never changed
    """Names of secrets that the job gets as files; their values come so, too."""
    secret_prefix: str = ""
    """How the path of the folder for them begins, in a file system in memory."""
    filter: str | None = None
    """What the output passes before it is kept, by its name in `shim.filters.FILTERS`."""
    mask_file: str | None = None
    """Path of the FIFO by which the job names further values that the filter `mask` hides."""
    merge: bool = False
    """One pipe for standard output and standard error."""
    sync: bool = True
    """Whether the end is forced to the disk before it counts."""
    agent_socket: str = AGENT_SOCKET
    umask: int = 0o022
    uid: int | None = None
    """Whose the job's processes are; None: the agent's user's."""
    gid: int = 0
    groups: list[int] = []  # noqa: RUF012 - a field of a tuple, never changed
    """Supplementary groups."""
    exclusive_user: bool = False
    """Nobody but this job is this user: at its end everything of him is killed."""
    no_new_privileges: bool = False
    """No program of the job gains privileges, as sudo does."""
    home: str | None = None
    """The job's own folder, with its outputs and artifacts; None: this directory."""
    max_artifacts: int = 1 << 30
    """Bytes of all artifacts together; files beyond are left out."""

    def line(self) -> bytes:
        """The order as the first line of its file."""
        return line_of(unusual(self._asdict()))


def unusual(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those of an order's fields that are not as they are for most jobs, by name."""
    return {name: value for name, value in fields.items() if value != _USUAL[_PLACES[name]]}


def line_of(fields: Mapping[str, Any], encode: Callable[[Any], bytes] = _encode) -> bytes:
    """An order with these fields as the first line of its file. `encode` makes JSON without line
    breaks."""
    body = {**fields, "v": VERSION}
    if "payload" in fields:
        body["payload"] = b64encode(fields["payload"]).decode()
    return encode(body) + b"\n"


_NEVER: Final = object()
_USUAL: Final = tuple(Order._field_defaults.get(name, _NEVER) for name in Order._fields)
"""What each field is when a line does not have it."""
_PLACES: Final = {name: place for place, name in enumerate(Order._fields)}


def parse(line: bytes) -> Order:
    """The order in a line. OrderError when it is damaged or of a version that is too new."""
    try:
        body: Any = decode(line)
        if body["v"] > VERSION:
            raise OrderError(
                f"the start order has version {body['v']}, this shim understands up to {VERSION}; "
                "restart the agent so that its shims are as new as itself"
            )
        if "payload" in body:
            body["payload"] = b64decode(body["payload"], validate=True)
        values = list(_USUAL)
        for name, value in body.items():
            if name in _PLACES:
                values[_PLACES[name]] = value
        order = Order._make(values)
        _check(order, body)
        few = order.segments < MIN_SEGMENTS
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise OrderError(f"the start order is damaged: {error!r}") from error
    return order._replace(segments=MIN_SEGMENTS) if few else order


def _check(order: Order, given: dict[str, Any]) -> None:
    """ValueError for fields that cannot be; of those that need not be there, only what is given."""
    if not given.keys() >= _NEEDED:
        raise ValueError(f"no {', '.join(sorted(_NEEDED - given.keys()))}")
    if not order.argv or not _are_texts(order.argv):
        raise ValueError("no program")
    if _CHECKED.isdisjoint(given):
        return
    if not is_signal(order.stop_signal):
        raise ValueError(f"no signal {order.stop_signal}")
    if not all(map(_are_texts, (order.secrets, order.secret_files, order.payload_secrets))):
        raise ValueError("no names of secrets")
    if order.mask_file is not None and not isinstance(order.mask_file, str):
        raise ValueError("no path of a mask file")
    if len(order.payload) > MAX_PAYLOAD:
        raise ValueError("its payload is too large")
    if order.uid is not None and not _is_user(order):
        raise ValueError("no user")


_NEEDED: Final = frozenset(Order._fields) - frozenset(Order._field_defaults)
_CHECKED: Final = frozenset(
    ("stop_signal", "secrets", "secret_files", "payload_secrets", "mask_file", "payload", "uid")
)
"""Fields that `_check` looks at where an order has one of them: most have none."""


_TEXTS: Final = frozenset((str,))


def _are_texts(words: object) -> bool:
    return isinstance(words, list) and _TEXTS.issuperset(map(type, words))


def _is_user(order: Order) -> bool:
    numbers = [order.uid, order.gid, *order.groups]
    return all(type(number) is int and 0 <= number < 1 << 32 for number in numbers) and (
        order.uid != 0
    )


def read_order(directory: Folder) -> Order:
    """The order in an attempt's directory. OrderError when it is damaged, OSError when absent."""
    descriptor = directory.open(ORDER, READ)
    try:
        line, end = b"", -1
        while end < 0 and len(line) < _LARGEST:
            part = os.read(descriptor, _STEP)
            if not part:
                raise OrderError("the start order is cut short")
            end = part.find(b"\n")
            line += part if end < 0 else part[:end]
    finally:
        os.close(descriptor)
    return parse(line)
