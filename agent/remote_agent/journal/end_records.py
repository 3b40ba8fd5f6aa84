"""What an exit record says of an attempt's end, in one pass. Reads nothing itself.

Of every job: made into the message at once, without objects of its parts between. What that does
not understand, `directory.ended_from` may.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from remote_agent.shim.layout import CLEAN, KEY, VERSION
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Ended

_HEAD: Final = f'{{"v":{VERSION},"{KEY}":"'
_CLEAN: Final = f',"{CLEAN}":'
_TAILS: Final = ("true}", "false}")
"""How a shim begins and ends a record: with what is no part of the message."""


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
    head = f'{_HEAD}{name}",'
    body, _, tail = record.rpartition(_CLEAN)
    if tail not in _TAILS or not body.startswith(head) or "\n" in body:
        return ""
    return f'{{"type":"ended","attempt":"{name}",{body[len(head) :]}}}'
