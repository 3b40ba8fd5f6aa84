"""A TCP relay between an agent and the server whose line can be made bad at will. Loopback only.

    relay = Relay(("127.0.0.1", server_port)); relay.start(); … relay.port …
    relay.cut()            reset every connection; new ones are let through
    relay.refuse(True)     accept nobody
    relay.black_hole(True) connections stay open, nothing passes any more, in either direction
    relay.half_open(True)  what the server says is swallowed, what the agent says passes
    relay.rate(1024)       bytes a second in each direction; None: as fast as it goes
    relay.said()           what the agent said first on its newest connection, to be said again

Runs in a thread with its own event loop, so that anybody can drive it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

_PIECE = 64 * 1024


class Relay:
    """One listening port in front of one target."""

    def __init__(self, target: tuple[str, int], remember: int = 0) -> None:
        self.target = target
        self.remember = remember
        """Bytes of what the agent says that are kept of each connection."""
        self.port = 0
        self.bytes_passed = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True, name="relay")
        self._ready = threading.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._refusing = False
        self._rate: int | None = None
        self._said = bytearray()
        self._open_down: asyncio.Event
        self._open_up: asyncio.Event
        self._stopping: asyncio.Event

    def start(self) -> Relay:
        """Listen; `port` is known afterwards."""
        self._thread.start()
        if not self._ready.wait(30):
            raise TimeoutError("the relay did not start")
        return self

    def stop(self) -> None:
        """End all connections and the thread."""
        self._call(self._stopping.set)
        self._thread.join(30)

    def cut(self) -> None:
        """Reset every connection (RST), as a broken middlebox does."""
        self._call(self._reset_all)

    def refuse(self, on: bool) -> None:
        """Whether new connections are reset at once."""
        self._call(lambda: setattr(self, "_refusing", on))

    def black_hole(self, on: bool) -> None:
        """Whether nothing passes in either direction while connections stay open."""
        self._call(lambda: (self._gate(self._open_up, on), self._gate(self._open_down, on)))

    def half_open(self, on: bool) -> None:
        """Whether only the direction from the server to the agent is blocked."""
        self._call(lambda: self._gate(self._open_down, on))

    def rate(self, bytes_a_second: int | None) -> None:
        """Limit each direction of each connection."""
        self._call(lambda: setattr(self, "_rate", bytes_a_second))

    def said(self) -> bytes:
        """The beginning of what the agent said on the newest connection, as long as remembered."""
        return bytes(self._said)

    def heal(self) -> None:
        """Take every badness back; connections that were opened meanwhile go on."""
        self.refuse(False)
        self.black_hole(False)
        self.rate(None)

    def _call(self, action: Callable[[], Any]) -> None:
        done = threading.Event()

        def run() -> None:
            action()
            done.set()

        self._loop.call_soon_threadsafe(run)
        if not done.wait(30):
            raise TimeoutError("the relay does not do what it is told")

    @staticmethod
    def _gate(gate: asyncio.Event, blocked: bool) -> None:
        gate.clear() if blocked else gate.set()

    def _reset_all(self) -> None:
        for writer in list(self._writers):
            _reset(writer)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._open_up, self._open_down, self._stopping = (asyncio.Event() for _ in range(3))
        self._open_up.set()
        self._open_down.set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        self._reset_all()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        other: asyncio.StreamWriter | None = None
        try:
            if self._refusing:
                _reset(writer)
                return
            theirs, other = await asyncio.open_connection(*self.target)
            self._writers.add(other)
            self._said = said = bytearray()
            await asyncio.gather(
                self._pump(reader, other, self._open_up, said),
                self._pump(theirs, writer, self._open_down, None),
            )
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in (writer, other):
                if end is not None:
                    self._writers.discard(end)
                    with contextlib.suppress(OSError, RuntimeError):
                        end.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        gate: asyncio.Event,
        said: bytearray | None,
    ) -> None:
        try:
            while data := await reader.read(min(_PIECE, self._rate or _PIECE)):
                if said is not None:
                    said += data[: self.remember - len(said)]
                await gate.wait()
                writer.write(data)
                await writer.drain()
                self.bytes_passed += len(data)
                if self._rate:
                    await asyncio.sleep(len(data) / self._rate)
            writer.write_eof()
        except OSError:
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        peer = writer.get_extra_info("socket")
        if peer is not None:
            # Linger 0: close() sends RST and drops what is buffered.
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError, RuntimeError):
        writer.transport.abort()
