"""What an exit record says of an attempt's end, in one pass. Reads nothing itself.

Of every job: made into the message at once, without objects of its parts between. What that does
not understand, `directory.ended_from` may.
"""

from __future__ import annotations

from pydantic import ValidationError

from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Ended


def end_of(key: AttemptId, record: bytes) -> Ended | None:
    """The end of this attempt as its record tells it; None when it must be read with more care, or
    is no record."""
    if not record.startswith(b"{"):
        return None
    text = b'{"type":"ended","attempt":"%s",%s' % (str(key).encode(), record[1:])
    try:
        ended = Ended.model_validate_json(text)
    except ValidationError:
        return None
    # A record may name another one itself: then that counts, as the last of a name does.
    return ended if ended.attempt == key else None
