"""Pieces of logs as agents send them."""

from __future__ import annotations

from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import HEADER_SIZE, pack_header


def encode_chunk(attempt: AttemptId, offset: int, payload: bytes) -> bytes:
    """A whole frame with a piece of a log."""
    frame = bytearray(HEADER_SIZE)
    pack_header(frame, attempt, offset)
    return bytes(frame) + payload
