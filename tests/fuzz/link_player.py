"""Plays generated conversations against the ground, and judges the server's part in them."""

from __future__ import annotations

import json
import time
from typing import Final

from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import HEADER_SIZE, pack_header
from tests.fuzz.ground import Ground
from tests.fuzz.link_cases import LinkCase, Step
from tests.support.rogues import BINARY, PING, RawLink, frame, open_link

_QUIET: Final = 0.03
_INTERNAL: Final = 1011
_ANSWER: Final = 30.0
_BUSY: Final = frozenset({401, 403, 429, 503})
"""Answers to a handshake that are a rogue's own fault: refused, or told to come later."""


class LinkPlayer:
    """Speaks as one rogue after the other, each on a link of its own."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._own = ("{unknown}", 1, 0)
        """Job, attempt and serial of the last offer."""
        self.refused = 0
        """Handshakes that were not taken."""
        self.offers = 0

    def play(self, case: LinkCase) -> None:
        """AssertionError when the link ends as if the server had failed, or hangs."""
        self._own = ("{unknown}", 1, 0)
        try:
            link = open_link(self._ground.stack.port, self._ground.rogues[case.rogue])
        except ConnectionError:
            self.refused += 1
            return
        try:
            if link.status != 101:
                assert link.status in _BUSY, f"the handshake was answered {link.status}"
                self.refused += 1
                return
            for step in case.steps:
                if step.what == "reset":
                    return
                if link.code is not None or not self._do(link, step):
                    break
            self._hear(link)
            assert link.code != _INTERNAL, "the link was closed as if the server had failed"
            if link.code is None:
                self._still_heard(link)
        finally:
            link.close()
        self._ground.feed()

    def _do(self, link: RawLink, step: Step) -> bool:
        """Carry out a step; whether the connection goes on."""
        if step.what == "listen":
            self._hear(link)
            return True
        if step.what == "take":
            return self._take(link)
        if step.what == "raw":
            return link.send(step.data * step.times)
        data, opcode = step.data, step.opcode
        if step.what == "chunk":
            opcode, data = BINARY, self._chunk(step)
        elif step.what == "say":
            data = self._fill(data)
        made = frame(opcode, data, fin=step.fin, reserved=step.reserved, masked=step.masked)
        return link.send(made * step.times)

    def _take(self, link: RawLink) -> bool:
        self._hear(link)
        job, number, serial = self._own
        about = {"attempt": f"{self._ground.fill(job)}.{number}"}
        accept = {"type": "accept", **about, "serial": serial}
        started = {"type": "started", **about, "pid": 1, "at": time.time()}
        return link.say(json.dumps(accept).encode()) and link.say(json.dumps(started).encode())

    def _chunk(self, step: Step) -> bytes:
        header = bytearray(HEADER_SIZE)
        job = self._ground.fill(step.job.replace("{own}", self._own[0]))
        number = self._own[1] if step.job == "{own}" and step.attempt == 1 else step.attempt
        pack_header(header, AttemptId(job, number), step.offset)
        return bytes(header) + step.data

    def _fill(self, text: bytes) -> bytes:
        """The text with ids in the place of placeholders; long ones are looked through, too."""
        if b"{" not in text:
            return text
        text = text.replace(b"{own}", self._own[0].encode())
        for name, value in self._ground.places.items():
            text = text.replace(b"{" + name.encode() + b"}", value.encode())
        return text

    def _hear(self, link: RawLink) -> list[dict[str, object]]:
        heard = [json.loads(text) for text in link.listen(_QUIET)]
        for message in heard:
            if message["type"] == "offer":
                self._own = (*AttemptId.parse(message["attempt"]), message["serial"])
                self.offers += 1
        return heard

    def _still_heard(self, link: RawLink) -> None:
        """A link that the server has not closed is one that it listens to.

        It is asked again and again: the first pings may be what a case's half a frame lacked.
        """
        deadline = time.monotonic() + _ANSWER
        while link.code is None and time.monotonic() < deadline:
            link.send(frame(PING, b"there?"))
            if link.listen(0.05) or link.pongs:
                return
        assert link.code is not None, f"no answer to a ping within {_ANSWER:g} s"
        assert link.code != _INTERNAL, "the link was closed as if the server had failed"
