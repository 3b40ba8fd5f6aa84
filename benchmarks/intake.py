"""Log bytes into the server's files: one link, chunks sent as fast as the window allows.

Usage: python -m benchmarks.intake [--megabytes 1000] [--payload 262144]

No agent and no job: the bytes come from memory, so that only link, hub and log store are measured.
The server has a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import time
from zlib import crc32

from websockets.asyncio.client import ClientConnection, connect

from benchmarks.bed import Bed, bed, cpu_seconds, memory, table
from remote_client.client import Client
from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import HEADER_SIZE, decode_from_server, encode, messages_of, pack_header
from remote_protocol.ids import make_ulid
from remote_protocol.limits import MAX_PAYLOAD, SUBPROTOCOL, WINDOW
from remote_protocol.spec import CommandSpec
from remote_protocol.states import EndReason, JobState

_LINE = b"2026-11-21T03:04:05.123456789Z stdout F " + b"x" * 79 + b"\n"


class Sender:
    """An agent's end of a link that only ever sends one log."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.acked = 0
        self.acks = 0
        self.news = asyncio.Event()
        self.settled = False
        self.offer: m.Offer | None = None
        self.confirmed = False

    async def listen(self) -> None:
        """Note what the server says."""
        async for frame in self.socket:
            self._hear(str(frame))

    def _hear(self, frame: str) -> None:
        for text in messages_of(frame):
            match decode_from_server(text):
                case m.Ack(offset=offset):
                    self.acked = offset
                    self.acks += 1
                case m.Offer() as offer:
                    self.offer = offer
                case m.Confirm():
                    self.confirmed = True
                case m.Settled():
                    self.settled = True
                case m.Error(detail=detail):
                    raise RuntimeError(detail)
            self.news.set()

    async def until(self, attribute: str) -> None:
        """Wait for something to be noted."""
        while not getattr(self, attribute):
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), 30)

    async def send_log(self, job: str, total: int, payload: int) -> int:
        """Send `total` bytes of lines; their checksum."""
        unit = (_LINE * (payload // len(_LINE) + 2)) * 2
        frame = bytearray(HEADER_SIZE + payload)
        sent = crc = 0
        while sent < total:
            while sent - self.acked + payload > WINDOW:
                self.news.clear()
                await self.news.wait()
            size, phase = min(payload, total - sent), sent % len(_LINE)
            piece = unit[phase : phase + size]
            pack_header(frame, AttemptId(job, 1), sent)
            frame[HEADER_SIZE : HEADER_SIZE + size] = piece
            await self.socket.send(memoryview(frame)[: HEADER_SIZE + size])
            crc = crc32(piece, crc)
            sent += size
        return crc


async def measure(place: Bed, megabytes: int, payload: int) -> list[tuple[str, str, str]]:
    """The rows of the table for one size of chunks."""
    name = f"intake-{payload}"
    token = place.client.create_token(name, agent=name).token
    url = place.url.replace("http", "ws", 1) + "/api/v1/agent/session"
    headers = {"Authorization": f"Bearer {token}"}
    async with connect(
        url,
        additional_headers=headers,
        subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]
        compression=None,
        max_size=None,
    ) as socket:
        sender = Sender(socket)
        listening = asyncio.create_task(sender.listen())
        session = make_ulid(int(time.time() * 1000), secrets.token_bytes(10))
        hello = m.Hello(
            oldest=1, newest=1, installation="i", session=session, agent_version="intake"
        )
        await socket.send(encode(hello))
        job = (await asyncio.to_thread(place.client.submit, CommandSpec(command=["true"]))).id
        await sender.until("offer")
        assert sender.offer is not None
        serial = sender.offer.serial
        await socket.send(encode(m.Accept(attempt=AttemptId(job, 1), serial=serial)))
        await sender.until("confirmed")
        await socket.send(encode(m.Started(attempt=AttemptId(job, 1), pid=1, at=time.time())))
        total = megabytes * 1_000_000
        spent, begun = cpu_seconds(place.server.pid), time.monotonic()
        crc = await sender.send_log(job, total, payload)
        ended = m.Ended(
            attempt=AttemptId(job, 1), exit_code=0, end_reason=EndReason.EXIT,
            size=total, checksum=crc, ended_at=time.time(),
        )  # fmt: skip
        await socket.send(encode(ended))
        await sender.until("settled")
        seconds = time.monotonic() - begun
        spent = cpu_seconds(place.server.pid) - spent
        listening.cancel()
    _check(place.client, job, total)
    aim = "≥ 200" if payload == MAX_PAYLOAD else ""
    return [
        ("MB/s, to `settled`, with fdatasync", f"{total / 1e6 / seconds:.0f}", aim),
        ("server CPU, s a GB", f"{spent * 1e9 / total:.2f}", ""),
        ("chunks, acks", f"{-(-total // payload)}, {sender.acks}", ""),
        ("server memory, peak MiB", f"{memory(place.server.pid, 'VmHWM'):.0f}", "≤ 100"),
    ]


def _check(client: Client, job: str, total: int) -> None:
    view = client.job(job)
    assert view.state is JobState.SUCCEEDED, view
    assert view.log_size == total, view


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--payload", type=int, nargs="+", default=[MAX_PAYLOAD, 65536, 1000])
    options = parser.parse_args()
    for payload in options.payload:
        # Small chunks stand for many talkative jobs: fewer bytes do.
        megabytes = max(1, options.megabytes * min(payload, 65536) // 65536)
        with bed(with_agent=False) as place:
            rows = asyncio.run(measure(place, megabytes, payload))
        table(f"{megabytes} MB in chunks of {payload} bytes", rows)


if __name__ == "__main__":
    main()
