"""Generated conversations of agents: every message, right or wrong, in any order and any framing.

Ids are placeholders in the JSON text: `{own}` is what the rogue was offered last, `{foreign}` the
honest agent's running job, `{ended}` one that is over, `{job}` one that waits; `{unknown}` is
nobody's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st
from pydantic import TypeAdapter

from remote_protocol.messages import AgentMessage
from tests.fuzz.jsontext import NASTY, Raw, Tree, mutated, render
from tests.fuzz.schema import Schemas
from tests.support.rogues import BINARY, CLOSE, PING, PONG, TEXT

_LATIN: Final = "latin-1"
JOBS: Final = ("{own}", "{own}", "{own}", "{foreign}", "{ended}", "{job}", "{unknown}")
_REPEATED: Final = (1, 1, 1, 1, 1, 2, 30)


@dataclass(frozen=True)
class Step:
    """One thing that a rogue does. `what` says which of the fields mean something."""

    what: str
    """`say` text, `chunk` of a log, `frame`, `raw` bytes, `listen`, `take` an offer, `reset`."""
    data: bytes = b""
    job: str = "{own}"
    attempt: int = 1
    offset: int = 0
    opcode: int = TEXT
    fin: bool = True
    reserved: int = 0
    masked: bool = True
    times: int = 1

    def __repr__(self) -> str:
        shown = {"what": self.what}
        for name in ("job", "attempt", "offset", "opcode", "fin", "reserved", "masked", "times"):
            if getattr(self, name) != getattr(_PLAIN, name):
                shown[name] = getattr(self, name)
        data = self.data if len(self.data) <= 300 else self.data[:80] + b"..." + self.data[-40:]
        if data:
            shown["data"] = f"<{len(self.data)}> {data!r}" if data != self.data else repr(data)
        return f"Step({', '.join(f'{name}={value}' for name, value in shown.items())})"


_PLAIN: Final = Step("")


@dataclass(frozen=True)
class LinkCase:
    """A conversation of one rogue on one link."""

    rogue: int
    steps: tuple[Step, ...]


def to_json(case: LinkCase) -> dict[str, Any]:
    """A case for a file."""
    steps = [{**vars(step), "data": step.data.decode(_LATIN)} for step in case.steps]
    return {"rogue": case.rogue, "steps": steps}


def from_json(value: dict[str, Any]) -> LinkCase:
    """A case from a file."""
    steps = (Step(**{**step, "data": step["data"].encode(_LATIN)}) for step in value["steps"])
    return LinkCase(value["rogue"], tuple(steps))


def say(message: Tree, times: int = 1) -> Step:
    """A text message."""
    return Step("say", render(message), times=times)


HELLO: Final[dict[str, Any]] = {
    "type": "hello",
    "oldest": 1,
    "newest": 1,
    "installation": "fuzz",
    "session": "01JD0000000000000000000000",
    "agent_version": "fuzz",
    "settings": {"queues": ["fuzz"]},
}
"""A hello as an agent says it."""


# Strategies ----------------------------------------------------------------------------------

_SCHEMA: Final = TypeAdapter(AgentMessage).json_schema()
_ids = st.sampled_from(JOBS)
_numbers = st.sampled_from((1, 1, 1, 2, 2**32 - 1))
_attempts = st.builds("{}.{}".format, _ids, _numbers)
_offsets = st.sampled_from((0, 0, 1, 100, 4_096, 1 << 31, 60 << 30, 2**63 - 1))
_item: Final[st.SearchStrategy[Tree]] = st.fixed_dictionaries(
    {"attempt": _attempts, "phase": st.sampled_from(("accepted", "running", "ended"))},
    optional={"size": _offsets},
)
_SCHEMAS: Final = Schemas(
    _SCHEMA["$defs"],
    {
        "attempt": _attempts,
        "attempts": st.lists(_attempts, max_size=3),
        "offset": _offsets,
        "size": _offsets,
        "checksum": st.sampled_from((0, 0, 1, 2**32 - 1)),
        "session": st.just(HELLO["session"]),
        "oldest": st.sampled_from((1, 1, 1, 3, 9)),
        "newest": st.sampled_from((1, 2, 3, 3, 99)),
        "seq": st.integers(1, 5),
        "serial": st.sampled_from((0, 1, 2, 99)),
        "inventory": st.lists(_item, max_size=3),
        "queues": st.lists(st.sampled_from(("fuzz", "default", "no-such", "honest")), max_size=3),
        "installation": st.sampled_from(("", "a", "b")),
    },
)
_kinds: Final = st.sampled_from([ref["$ref"].rsplit("/", 1)[1] for ref in _SCHEMA["oneOf"]])


@st.composite
def _messages(draw: st.DrawFn) -> Step:
    schema = _SCHEMA["$defs"][draw(_kinds)]
    most = draw(st.sampled_from((0, 0, 1, 2)))
    return say(draw(mutated(_SCHEMAS.values(schema), most)), draw(st.sampled_from(_REPEATED)))


@st.composite
def _hellos(draw: st.DrawFn) -> Step:
    how = draw(st.integers(0, 4))
    if how < 2:
        return say(HELLO)
    schema = _SCHEMA["$defs"]["Hello"]
    return say(draw(mutated(_SCHEMAS.values(schema), 0 if how == 2 else 2)))


@st.composite
def _chunks(draw: st.DrawFn) -> Step:
    size = draw(st.sampled_from((1, 10, 100, 4_096, 256 * 1024)))
    line = b"2026-11-26T10:00:00.000000000Z stdout F x\n"
    data = draw(st.sampled_from((line * 3, b"\0" * size, b"\xff" * size, b"no newline", b"")))
    return Step(
        "chunk",
        data,
        draw(_ids),
        draw(_numbers),
        draw(_offsets),
        times=draw(st.sampled_from(_REPEATED)),
    )


_FRAMES: Final = (
    Step("frame", b"{}", opcode=BINARY),
    Step("frame", b"\1" + b"\0" * 16, opcode=BINARY),
    Step("frame", b"\2" + b"\0" * 40, opcode=BINARY),
    Step("frame", b"\1" + b"\xff" * 28 + b"x", opcode=BINARY),
    Step("frame", b"\1" + b"\0" * 28 + b"x" * (256 * 1024 + 1), opcode=BINARY),
    Step("frame", b"x" * (1 << 20), opcode=BINARY),
    Step("frame", b"\xff\xfe", opcode=TEXT),
    Step("frame", b"[" * 100_000, opcode=TEXT),
    Step("frame", b" " * (4 << 20), opcode=TEXT),
    Step("frame", b" " * ((4 << 20) + 1), opcode=TEXT),
    Step("frame", b"null", opcode=TEXT),
    Step("frame", b'{"type": "welcome"}', opcode=TEXT),
    Step("frame", b'{"type": ["hello"]}', opcode=TEXT),
    Step("frame", b"{", opcode=TEXT, fin=False),
    Step("frame", b" " * 100_000, opcode=TEXT, fin=False),
    Step("frame", b"}", opcode=0),
    Step("frame", b"", opcode=0, fin=False, times=2_000),
    Step("frame", b"x", opcode=0, fin=False, times=30),
    Step("frame", b"", opcode=PING, times=300),
    Step("frame", b"x" * 125, opcode=PING),
    Step("frame", b"x" * 126, opcode=PING),
    Step("frame", b"x", opcode=PING, fin=False),
    Step("frame", b"unasked", opcode=PONG, times=30),
    Step("frame", b"", opcode=CLOSE),
    Step("frame", b"\x03", opcode=CLOSE),
    Step("frame", b"\x03\xe8bye", opcode=CLOSE),
    Step("frame", b"\x03\xee", opcode=CLOSE),
    Step("frame", b"\xff\xff\xff", opcode=CLOSE),
    Step("frame", b"x", opcode=3),
    Step("frame", b"x", opcode=15),
    Step("frame", b"{}", opcode=TEXT, reserved=4),
    Step("frame", b"{}", opcode=TEXT, reserved=7),
    Step("frame", b"{}", opcode=TEXT, masked=False),
    Step("raw", b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"),
    Step("raw", b"\x82\xff\0\0\0\0\x7f\xff\xff\xff\0\0\0\0"),
    Step("raw", b"\x81\xfe\0\x01\0\0\0\0x"),
    Step("raw", b"\x81"),
    Step("raw", b"GET / HTTP/1.1\r\n\r\n"),
)
_steps: Final = st.one_of(
    _messages(),
    _messages(),
    _messages(),
    _chunks(),
    st.sampled_from(_FRAMES),
    st.sampled_from((Step("listen"), Step("take"), Step("take"))),
    st.builds(lambda value: Step("say", render(value)), st.sampled_from(NASTY)),
)


@st.composite
def link_cases(draw: st.DrawFn) -> LinkCase:
    """Any conversation: most say hello first, listen, and take what they are offered."""
    steps: list[Step] = []
    if draw(st.integers(0, 5)):
        steps += [draw(_hellos()), Step("listen")]
        if draw(st.booleans()):
            steps.append(Step("take"))
    steps += draw(st.lists(_steps, max_size=8))
    if not draw(st.integers(0, 5)):
        steps.append(Step("reset"))
    return LinkCase(draw(st.integers(0, 5)), tuple(steps))


def many(text: bytes, count: int) -> Raw:
    """A list with the same JSON text `count` times."""
    return Raw(b"[" + b",".join([text] * count) + b"]")
