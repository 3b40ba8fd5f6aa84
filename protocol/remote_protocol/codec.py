"""Frames on the link: messages as JSON text, bytes of logs and inputs as binary chunks. Pure.

A text frame is a message, or several with a line feed between two of them: what a side has to say
in one turn of its loop. JSON as it is written here has no line feed of its own.

A chunk is `>B20sQ`: its kind, the attempt, the offset; then the bytes. Kind 1 is a
piece of a log and travels to the server, kind 2 a piece of an input and travels to the agent.
Kind 3 is a piece of an artifact, to the server: two bytes with its number follow the offset. Kind 4
is a piece of a content, to the agent, in the same form.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Final, NamedTuple, TypeVar, final, get_args

from pydantic import ConfigDict, TypeAdapter, ValidationError

from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import CloseCode, LocalProtocolError, RemoteProtocolError
from remote_protocol.limits import (
    MAX_AGENT_MESSAGE,
    MAX_PAYLOAD,
    MAX_SERVER_MESSAGE,
    MAX_TOGETHER,
    PROTOCOL_VERSION,
)
from remote_protocol.messages import (
    AgentMessage,
    Ended,
    Heartbeat,
    Message,
    Offer,
    ServerMessage,
    Started,
)
from remote_protocol.spec import DEFAULT_KIND, JobSpec

_HEADER: Final = struct.Struct(">B20sQ")
HEADER_SIZE: Final = _HEADER.size
_LOG: Final = 1
_INPUT: Final = 2
_ARTIFACT: Final = 3
_CONTENT: Final = 4
_NUMBER: Final = struct.Struct(">H")
_ARTIFACT_HEADER: Final = HEADER_SIZE + _NUMBER.size
_TOGETHER: Final = 16 * 1024
"""Characters of messages that are put into one frame: far below what either side reads as one."""
_M = TypeVar("_M")
_LATER: Final = ConfigDict(defer_build=True)
"""A program decodes the messages of one direction: the other is never made ready."""
_OF_EACH_JOB: Final = (Started, Ended, Heartbeat)
"""Models of what an agent says while it has jobs of the plainest sort. Any other one takes up to
0.7 ms more when it is used for the first time."""
_FROM_AGENT: Final[TypeAdapter[AgentMessage]] = TypeAdapter(AgentMessage, config=_LATER)
_FROM_SERVER: Final[TypeAdapter[ServerMessage]] = TypeAdapter(ServerMessage, config=_LATER)


@final
class WrittenOffer(NamedTuple):
    """An offer whose specification is there as JSON, as most are when they are made."""

    attempt: AttemptId
    spec: str
    """As `JobSpec.short_json` writes it."""
    max_log: int | None
    """The job's cap of its log, where the specification has none."""
    serial: int

    @property
    def type(self) -> str:
        """As of every message."""
        return "offer"


@final
class Written(NamedTuple):
    """A message about an attempt that is there as JSON, in one line."""

    type: str
    """As of every message."""
    attempt: AttemptId
    text: str


def accept(attempt: AttemptId, serial: int) -> Written:
    """An `Accept`, of which every job has one: to make a model and encode that takes more than
    twice as long."""
    text = f'{{"type":"accept","attempt":"{attempt}","serial":{serial}}}'
    return Written("accept", attempt, text)


def confirm(attempt: AttemptId) -> Written:
    """A `Confirm` without secrets, as most jobs have one, for the same reason."""
    return Written("confirm", attempt, f'{{"type":"confirm","attempt":"{attempt}"}}')


def settled(attempt: AttemptId) -> Written:
    """A `Settled`, of which every job has one, for the same reason."""
    return Written("settled", attempt, f'{{"type":"settled","attempt":"{attempt}"}}')


ToAgent = ServerMessage | WrittenOffer | Written
"""What a server has to say to an agent."""


_S = TypeVar("_S", bound=Message | WrittenOffer | Written)


class Chunk(NamedTuple):
    """A piece of an attempt's log or input as it came; `payload` is a view into the frame."""

    attempt: AttemptId
    offset: int
    payload: memoryview


class ArtifactChunk(NamedTuple):
    """A piece of an artifact as it came; `payload` is a view into the frame."""

    attempt: AttemptId
    number: int
    offset: int
    payload: memoryview


class ContentChunk(NamedTuple):
    """A piece of a content as it came; `payload` is a view into the frame."""

    attempt: AttemptId
    number: int
    offset: int
    payload: memoryview


def make_ready_from_server() -> None:
    """Build the decoder of a server's messages, some milliseconds, while the first is on its way;
    nothing, when it is there."""
    _FROM_SERVER.rebuild()


def make_agent_ready() -> None:
    """Build whatever an agent's first job of the usual kind would, and its messages, so that it
    takes no longer than the next. For a moment in which nobody waits.

    Jobs of other kinds, and messages that most jobs have no use for, are made ready by the first
    one: many agents never get any, and each takes memory for good."""
    make_ready_from_server()
    for kind in (JobSpec.kinds[DEFAULT_KIND], *_OF_EACH_JOB):
        kind.model_rebuild()


def make_server_ready() -> None:
    """The same for a server, which gets jobs of all kinds."""
    _FROM_AGENT.rebuild()
    for kind in (*JobSpec.kinds.values(), *get_args(get_args(ServerMessage)[0])):
        kind.model_rebuild()


def encode(message: Message | WrittenOffer | Written) -> str:
    """The JSON text of a message."""
    # By type: a model's `isinstance` runs Python, for each message that is none.
    if type(message) is Written:
        return message.text
    if type(message) is WrittenOffer:
        return _written_offer(message)
    if type(message) is Offer:
        return _offer(message.attempt, message.serial, message.spec.short_json)
    # As model_dump_json does, without its frame of Python and its eighteen arguments.
    return message.__pydantic_serializer__.to_json(message, exclude_none=True).decode()


def next_frame(waiting: deque[_S]) -> str:
    """A text frame with as many of the messages that wait as it carries, taken away from them."""
    text = encode(waiting.popleft())
    if not waiting:
        return text
    texts, size = [text], len(text)
    while waiting and len(texts) < MAX_TOGETHER:
        text = encode(waiting[0])
        size += len(text)
        if size > _TOGETHER:
            break
        waiting.popleft()
        texts.append(text)
    return "\n".join(texts)


def messages_of(frame: str) -> list[str]:
    """The texts of the messages in a text frame. RemoteProtocolError when they are too many."""
    if "\n" not in frame:
        return [frame]
    texts = frame.split("\n", MAX_TOGETHER)
    if len(texts) > MAX_TOGETHER:
        raise RemoteProtocolError(f"a frame carries {MAX_TOGETHER} messages at the most")
    return texts


def _offer(attempt: AttemptId, serial: int, spec: str) -> str:
    # Most of a specification has its default: two thirds of the bytes, and of the work to read
    # them.
    return f'{{"type":"offer","attempt":"{attempt}","serial":{serial},"spec":{spec}}}'


def _written_offer(offer: WrittenOffer) -> str:
    spec = offer.spec
    if offer.max_log is not None:
        rest = spec[1:]
        spec = f'{{"max_log":{offer.max_log}{"" if rest == "}" else ","}{rest}'
    return _offer(offer.attempt, offer.serial, spec)


def decode_from_agent(text: str | bytes) -> AgentMessage:
    """The message that a text from an agent is. RemoteProtocolError when it is none."""
    return _decode(_FROM_AGENT, text, MAX_AGENT_MESSAGE)


def decode_from_server(text: str | bytes) -> ServerMessage:
    """The message that a text from the server is. RemoteProtocolError when it is none."""
    return _decode(_FROM_SERVER, text, MAX_SERVER_MESSAGE)


def _decode(adapter: TypeAdapter[_M], text: str | bytes, largest: int) -> _M:
    if len(text) > largest:
        raise RemoteProtocolError(f"a message of {len(text)} bytes; at most {largest} are allowed")
    try:
        # As the adapter's own validate_json does, without its frame of Python.
        message: _M = adapter.validator.validate_json(text)
        return message
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "message"
        raise RemoteProtocolError(f"not a message: {place}: {first['msg']}") from None


def pack_header(buffer: bytearray, attempt: AttemptId, offset: int) -> None:
    """Write the header of a piece of a log into the first `HEADER_SIZE` bytes of `buffer`."""
    _HEADER.pack_into(buffer, 0, _LOG, attempt.raw, offset)


def encode_input(attempt: AttemptId, offset: int, payload: bytes) -> bytes:
    """A whole frame with a piece of an input. LocalProtocolError when the payload is too large."""
    if len(payload) > MAX_PAYLOAD:
        raise LocalProtocolError(f"a chunk carries at most {MAX_PAYLOAD} bytes")
    return _HEADER.pack(_INPUT, attempt.raw, offset) + payload


def encode_artifact(attempt: AttemptId, number: int, offset: int, payload: bytes) -> bytes:
    """A whole frame with a piece of an artifact. LocalProtocolError when the payload is too
    large."""
    if len(payload) > MAX_PAYLOAD:
        raise LocalProtocolError(f"a chunk carries at most {MAX_PAYLOAD} bytes")
    return _HEADER.pack(_ARTIFACT, attempt.raw, offset) + _NUMBER.pack(number) + payload


def encode_content(attempt: AttemptId, number: int, offset: int, payload: bytes) -> bytes:
    """A whole frame with a piece of a content. LocalProtocolError when the payload is too large."""
    if len(payload) > MAX_PAYLOAD:
        raise LocalProtocolError(f"a chunk carries at most {MAX_PAYLOAD} bytes")
    return _HEADER.pack(_CONTENT, attempt.raw, offset) + _NUMBER.pack(number) + payload


def decode_chunk(frame: bytes) -> Chunk | ArtifactChunk:
    """The piece of a log or of an artifact in a binary frame. RemoteProtocolError when it is
    none."""
    if frame[:1] == b"\x03" and len(frame) > _ARTIFACT_HEADER:
        chunk = _decode_chunk(_ARTIFACT, frame, _ARTIFACT_HEADER)
        (number,) = _NUMBER.unpack_from(frame, HEADER_SIZE)
        return ArtifactChunk(chunk.attempt, number, chunk.offset, chunk.payload)
    return _decode_chunk(_LOG, frame)


def decode_input(frame: bytes) -> Chunk | ContentChunk:
    """The piece of an input or of a content in a binary frame. RemoteProtocolError when it is
    none."""
    if frame[:1] == b"\x04" and len(frame) > _ARTIFACT_HEADER:
        chunk = _decode_chunk(_CONTENT, frame, _ARTIFACT_HEADER)
        (number,) = _NUMBER.unpack_from(frame, HEADER_SIZE)
        return ContentChunk(chunk.attempt, number, chunk.offset, chunk.payload)
    return _decode_chunk(_INPUT, frame)


def _decode_chunk(wanted: int, frame: bytes, header: int = HEADER_SIZE) -> Chunk:
    if not header < len(frame) <= header + MAX_PAYLOAD:
        raise RemoteProtocolError(f"a chunk frame of {len(frame)} bytes")
    kind, raw, offset = _HEADER.unpack_from(frame)
    if kind != wanted:
        raise RemoteProtocolError(f"a binary frame of unknown kind {kind}")
    try:
        attempt = AttemptId.from_bytes(raw)
    except ValueError as error:
        raise RemoteProtocolError(f"a chunk frame that names no attempt: {error}") from None
    if offset + len(frame) - header >= 1 << 63:
        # Its acknowledgement names the offset of its end.
        raise RemoteProtocolError(f"a chunk that ends beyond every log, from offset {offset} on")
    return Chunk(attempt, offset, memoryview(frame)[header:])


def negotiate(oldest: int, newest: int) -> int:
    """The version that this side and a peer of such a range speak. RemoteProtocolError when there
    is none."""
    if not oldest <= PROTOCOL_VERSION <= newest:
        raise RemoteProtocolError(
            f"the agent speaks protocol versions {oldest} to {newest}, the server "
            f"{PROTOCOL_VERSION}; update the older of the two",
            CloseCode.UNSUPPORTED_VERSION,
        )
    return PROTOCOL_VERSION
