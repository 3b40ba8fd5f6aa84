"""Says on stderr that the token in use ends soon: once a day for each token, as far as files in the
folder of the logins can be written. Reads the clock."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from hashlib import sha256

from remote_client.cli.output import note
from remote_client.config import config_file
from remote_protocol.printable import printable
from remote_protocol.units import format_duration

_DAY = 86400.0


def warn(url: str, ends: str) -> None:
    """Say that the token for this server ends then (RFC 3339), unless that was said today."""
    try:
        moment = datetime.fromisoformat(ends)
        left = (moment - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):  # a proxy's words, or no time with a zone
        return
    if left <= 0 or _told_today(url, ends):
        return
    rest = format_duration(max(60.0, left // 60 * 60))
    note(
        f"the token in use ends {printable(ends)}, in {rest}; "
        "have an admin make a new one (remotectl token create)"
    )


def _told_today(url: str, ends: str) -> bool:
    """Whether it was said within a day; from now on it was."""
    # The end of a token tells it from its successor; of the token itself nothing is kept.
    name = sha256(f"{url} {ends}".encode()).hexdigest()[:16]
    folder = os.path.dirname(config_file())
    place = os.path.join(folder, f"expiry-told-{name}")
    try:
        age = time.time() - os.stat(place).st_mtime
        if 0 <= age < _DAY:
            return True
    except OSError:
        pass
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with open(place, "w", encoding="utf-8"):
            pass
        os.utime(place)
    except OSError:
        pass  # said at each call, then: better than never
    return False
