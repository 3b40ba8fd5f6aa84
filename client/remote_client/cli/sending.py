"""Sends the files of a job that it names by their digests, before the job. Touches the network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from remote_client.cli.output import note
from remote_client.cli.session import Session
from remote_client.contents import LocalContent, send_content
from remote_client.errors import ClientError
from remote_protocol.units import format_size

_SAID_EVERY: Final = 5.0
"""Seconds between two lines about how far it is."""


def send_contents(session: Session, contents: Sequence[LocalContent]) -> bool:
    """See to it that the server has them all; False when somebody interrupts that."""
    try:
        for content in contents:
            _send(session, content)
    except KeyboardInterrupt:
        note(
            "interrupted while files were sent: no job was submitted; the same call goes on where "
            "this one was"
        )
        return False
    return True


def _send(session: Session, content: LocalContent) -> None:
    began = said_at = time.monotonic()

    def progress(received: int) -> None:
        nonlocal said_at
        now = time.monotonic()
        if now - said_at >= _SAID_EVERY:
            said_at = now
            whole = format_size(content.size)
            note(f"sending {content.name}: {format_size(received)} of {whole} are there")

    try:
        sent = send_content(session.calls, content, progress)
    except OSError as error:
        raise ClientError(f"{content.name} cannot be read: {error.strerror}") from None
    if time.monotonic() - began >= _SAID_EVERY:
        note(f"sent {content.name}: {format_size(sent)}")
