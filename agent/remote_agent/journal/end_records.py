"""What an exit record says of an attempt's end, in one pass. Reads nothing itself.

Of every job: made into the message at once, without objects of its parts between. What that does
not understand, `directory.ended_from` may.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from remote_agent.shim.record import CLEAN_FIELD, RECORD_BEGINNING
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Ended

_ENDINGS: Final = ("true}", "false}")
"""What follows the name of the last field."""


class KnownEnd(NamedTuple):
    """How an attempt has ended."""

    ended: Ended
    text: str = ""
    """The same as JSON, in one line; empty: it has to be encoded."""


def end_of(key: AttemptId, record: bytes) -> KnownEnd | None:
    """The end of this attempt as its record tells it; None when it must be read with more care, or
    is no record."""
    if not record.startswith(b"{"):
        return None
    name = str(key)
    try:
        text = record.decode()
        message = _message(name, text)
        checked = message or f'{{"type":"ended","attempt":"{name}",{text[1:]}'
        ended = Ended.model_validate_json(checked)
    except ValueError:
        return None
    # A record may name another one itself: then that counts, as the last of a name does.
    return KnownEnd(ended, message) if ended.attempt == key else None


def _message(name: str, record: str) -> str:
    """The message in a record as shims write it; empty for another one. What has line breaks, as a
    job might write it, would be several messages."""
    head = f'{RECORD_BEGINNING}"{name}",'
    body, _, ending = record.rpartition(CLEAN_FIELD)
    if ending not in _ENDINGS or not body.startswith(head) or "\n" in body:
        return ""
    return f'{{"type":"ended","attempt":"{name}",{body[len(head) :]}}}'
