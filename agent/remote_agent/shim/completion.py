"""The last writes of an attempt: what is left of its output, and the exit record. Disk only.

Both wait for a full disk, so that nothing is lost; but when the job is to end, the rest of its
output is dropped after a while, and the agent receives the record that cannot be kept.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Final

from remote_agent.processes import Folder
from remote_agent.shim.channel import Channel
from remote_agent.shim.layout import EXIT, ORDER
from remote_agent.shim.output import RETRY, Output
from remote_agent.shim.record import sync_record, write_text
from remote_agent.shim.record_text import ExitRecord
from remote_protocol.units import plain_size

DISK_WAIT: Final = 5.0
"""Seconds for which the rest of the output of a job that is to end waits for a full disk."""


class Completion:
    """The end of one attempt's files."""

    def __init__(self, directory: Folder, output: Output, channel: Channel) -> None:
        self._directory = directory
        self._output = output
        self._channel = channel
        self._lost = 0
        self.must_end = False
        """The job was asked to end, however full the disk is."""

    @property
    def loss(self) -> str:
        """What had to be dropped, for the end of a sentence; empty for nothing."""
        if not self._lost:
            return ""
        return f"; the last {plain_size(self._lost)} of its log were dropped: the disk is full"

    def write_pending(self) -> None:
        """Write the output that is pending."""
        if self._output.flush():
            return
        deadline = time.monotonic() + DISK_WAIT
        while not self._output.flush() and not self._directory.gone():
            self._receive()
            if self.must_end and (self._lost or time.monotonic() > deadline):
                self._lost += self._output.give_up()
            time.sleep(RETRY)

    def write_exit(self, record: ExitRecord, sync: bool) -> None:
        """Write the exit record and announce it. `sync`: force it to disk if no agent is there."""
        written = record.text().encode()
        while True:
            try:
                write_text(self._directory, EXIT, written)
                break
            except OSError:
                if self._directory.gone():
                    written = b""
                    break
                self._receive()
                if self.must_end:
                    # Nothing can be kept here: the agent that receives it tells the server.
                    self._channel.ended(refused=record.for_datagram())
                time.sleep(RETRY)
        # An agent that receives it does the rest: mostly the server knows the end sooner than any
        # disk, and a synced record costs a short job two thirds of its shim's time.
        if not self._channel.ended(written) and sync:
            with suppress(OSError):
                self._output.sync()
                sync_record(self._directory, EXIT)
                # What the record counts with, and the name of the directory in which this works.
                self._directory.sync_file(ORDER)
                with Folder("..") as attempts:
                    attempts.sync()

    def _receive(self) -> None:
        for message in self._channel.receive():
            self.must_end |= message.get("do") in ("stop", "kill")
