"""A rogue agent of the chaos run: enrolled by the book, and then it says what it likes.

It serves the queue of the honest jobs, too, so that what it does to its offers meets them. What it
never does is to accept one of those: an agent that takes a job may lose it.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any, Final

from remote_protocol.api.queues import QueueCreate
from remote_protocol.api.tokens import RegistrationTokenCreate
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import HEADER_SIZE, pack_header
from remote_protocol.messages import Refusal
from remote_protocol.spec import JobSpec
from tests.chaos.stage import Missed, Stage
from tests.support.frames import encode_chunk
from tests.support.rogues import BINARY, TEXT, RawLink, enrol, frame, open_link

NAME: Final = "rogue"
QUEUE: Final = "rogue"
_SESSION: Final = "01JD0000000000000000000000"
_REASONS: Final = [reason for reason in Refusal if not reason.final]
_JOBS: Final = 6


class Rogue:
    """The rogue's identity. Its acts take a second or a few, and say what they did."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.most_refused = 0
        """Offers that it refused on one link."""
        self.most_said = 0
        """Heartbeats that it said on one link."""
        self.oversized = 0
        """Frames beyond a bound that it sent."""
        self.missed = 0
        """Attempts that it took and said to have no log of."""
        client = stage.client
        client.create_queue(QueueCreate(name=QUEUE))
        registration = RegistrationTokenCreate(queues=["default", QUEUE], uses=1)
        self._token = enrol(
            stage.url,
            NAME,
            client.create_registration_token(registration).token,
            queues=["default", QUEUE],
            capacity={"default": 4},
        )
        spec = {
            "queue": QUEUE,
            "command": ["true"],
            "max_attempts": 100,
            "retry_backoff": 0,
            "on_disconnect": {"lost_after": 2},
        }
        self._jobs = client.submit_batch([JobSpec.model_validate(spec)] * _JOBS)

    def claim_queues(self, dice: random.Random) -> str:
        """Say that it serves thousands of queues, with thousands of labels."""
        names = [f"q{number}" for number in range(dice.choice([101, 5_000, 20_000]))]
        settings: dict[str, Any] = dice.choice(
            [
                {"queues": names},
                {"labels": dict.fromkeys(names, "v")},
                {"capacity": {"default": 9_999}},
            ]
        )
        self._converse(_hello(settings=settings), 1.0, self._refuse(dice))
        return f"claimed {' and '.join(settings)}"

    def refuse_all(self, dice: random.Random) -> str:
        """Refuse whatever it is offered."""
        refused = self._converse(_hello(), dice.uniform(1, 4), self._refuse(dice))
        self.most_refused = max(self.most_refused, refused)
        return f"refused {refused} offers"

    def ignore_offers(self, dice: random.Random) -> str:
        """Take offers to its grave: the link is cut before an answer."""
        self._converse(_hello(), 0.5, lambda offer: None)
        return "was offered jobs and left"

    def flood(self, dice: random.Random) -> str:
        """Say one thing thousands of times."""
        beat = _text(type="heartbeat", seq=1)
        text = dice.choice([beat, _hello(), _text(type="goodbye")])
        link = self._open()
        try:
            link.say(_hello())
            until, count = time.monotonic() + dice.uniform(0.5, 2), 0
            made = frame(TEXT, text) * 50
            while time.monotonic() < until and link.code is None and link.send(made):
                link.listen(0.001)
                count += 50
        finally:
            link.close()
        if text == beat:
            self.most_said = max(self.most_said, count)
        return f"said one thing {count} times"

    def say_missing(self, dice: random.Random) -> str:
        """Take jobs of its own queue, and have logs of 60 GiB that are not there."""

        def answer(offer: dict[str, Any]) -> bytes | None:
            if offer["spec"].get("queue") != QUEUE:
                return _refusal(offer, dice.choice(_REASONS))
            self.missed += 1
            about = {"attempt": offer["attempt"]}
            end = {"exit_code": 0, "end_reason": "exit", "size": 60 << 30, "checksum": 1}
            said = (
                _text(type="accept", serial=offer["serial"], **about),
                _text(type="started", pid=1, at=0, **about),
                _text(type="missing", offset=60 << 30, **about),
                _text(type="ended", ended_at=0, **about, **end),
                _text(type="missing", offset=60 << 30, **about),
            )
            return b"".join(frame(TEXT, text) for text in said)

        self._converse(_hello(), 2.0, answer)
        return f"missed the logs of {self.missed} attempts by now"

    def oversize(self, dice: random.Random) -> str:
        """Send frames that are too large, and log beyond every bound."""
        link = self._open()
        try:
            link.say(_hello())
            header = bytearray(HEADER_SIZE)
            pack_header(header, AttemptId(dice.choice(self._jobs), 1), 2**63 - 1)
            foreign = encode_chunk(AttemptId(dice.choice(self._jobs), 1), 0, b"x" * (256 << 10))
            beyond = [
                frame(TEXT, b" " * (5 << 20)),
                frame(BINARY, b"\1" * (1 << 20)),
                frame(BINARY, bytes(header) + b"x" * 1_000),
            ]
            chosen = dice.choice([*beyond, frame(BINARY, foreign) * 40])
            link.send(chosen)
            link.listen(0.5)
            self.oversized += chosen in beyond and link.code is not None
        finally:
            link.close()
        return "sent too much"

    def keep_silent(self, dice: random.Random) -> str:
        """Open links that never say hello, each with a message that does not end."""
        links: list[RawLink] = []
        try:
            for _ in range(30):
                links.append(self._open())
                links[-1].socket.settimeout(0.2)
                links[-1].send(frame(TEXT, b" " * (1 << 20), fin=False))
            time.sleep(dice.uniform(0, 2))
        finally:
            for link in links:
                link.close()
        return "opened links and said nothing"

    def meddle(self, dice: random.Random) -> str:
        """Say that others' attempts are over, or its own."""
        # Not what it may be offered itself: of that it may say anything.
        page = self._stage.client.jobs(limit=50)
        jobs = [job.id for job in page.items if job.started_at is not None and job.agent != NAME]
        link = self._open()
        try:
            link.say(_hello(inventory=[{"attempt": f"{job}.1", "phase": "ended"} for job in jobs]))
            link.listen(0.2)
            end = {"end_reason": "exit", "exit_code": 0, "size": 0, "checksum": 0, "ended_at": 0}
            for job in jobs:
                link.say(_text(type="ended", attempt=f"{job}.1", **end))
                link.send(frame(BINARY, encode_chunk(AttemptId(job, 1), 0, b"not yours\n")))
            link.listen(0.5)
        finally:
            link.close()
        return f"meddled with {len(jobs)} jobs"

    def retire(self) -> None:
        """Leave the stage: its jobs are cancelled, its name stays."""
        for job in self._jobs:
            self._stage.client.cancel(job, "the rogue has left")

    def _open(self) -> RawLink:
        host, port = self._stage.address
        link = open_link(port, self._token, host=host, timeout=5.0)
        if link.status != 101:
            link.close()
            raise Missed(f"the rogue's link was refused with {link.status}")
        return link

    def _converse(
        self, hello: bytes, seconds: float, answer: Callable[[dict[str, Any]], bytes | None]
    ) -> int:
        """Say hello and answer offers for so long; how many there were."""
        link = self._open()
        until, count = time.monotonic() + seconds, 0
        try:
            link.say(hello)
            while time.monotonic() < until and link.code is None:
                for text in link.listen(0.02):
                    message = json.loads(text)
                    if message["type"] == "offer":
                        count += 1
                        link.send(answer(message) or b"")
        finally:
            link.close()
        return count

    def _refuse(self, dice: random.Random) -> Callable[[dict[str, Any]], bytes | None]:
        return lambda offer: _refusal(offer, dice.choice(_REASONS))


def _text(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def _hello(**fields: object) -> bytes:
    start = {
        "type": "hello",
        "oldest": 1,
        "newest": 1,
        "installation": "i",
        "session": _SESSION,
        "agent_version": "x",
    }
    return _text(**{**start, **fields})


def _refusal(offer: dict[str, Any], reason: Refusal) -> bytes:
    about = {"attempt": offer["attempt"], "serial": offer["serial"]}
    return frame(TEXT, _text(type="refuse", reason=reason, detail="no", **about))
