"""The local control socket: how the command line talks to the running agent on the same host.

One JSON object a line each way over a stream socket, `<state-dir>/control.sock`, which only its
owner can open: `{"do": "status"}` → `{"ok": true, …}` or `{"ok": false, "error": "…"}`.
May touch that socket only.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog

from remote_agent.errors import AgentError
from remote_agent.processes import Folder, connect, listen

log = structlog.get_logger("control")

FILE: Final = "control.sock"
_LARGEST: Final = 8 * 1024 * 1024
_TIMEOUT: Final = 10.0
Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Takes the request, gives fields of the answer. AgentError becomes the answer's `error`."""


class ControlServer:
    """ControlHandlers requests by the handler that their `do` names."""

    def __init__(self, state_dir: Path, handlers: Mapping[str, Handler]) -> None:
        self._state_dir = state_dir
        self._handlers = handlers
        self._server: asyncio.Server | None = None
        self._password = b""

    async def start(self) -> None:
        """Listen, in place of what a dead agent left. AgentError when that is impossible."""
        try:
            with Folder(self._state_dir, follow=True) as folder:
                listener, self._password = listen(folder, FILE)
            self._server = await asyncio.start_server(self._serve, sock=listener)
        except OSError as error:
            raise AgentError(f"no control socket in {self._state_dir}: {error.strerror}") from None

    async def stop(self) -> None:
        """Stop listening and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._server = None
            with suppress(OSError):
                os.unlink(self._state_dir / FILE)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT):
                if self._password:
                    said = (await reader.readline()).strip()
                    if not hmac.compare_digest(said, self._password):
                        raise ValueError("it did not know the password")
                answer = await self._answer(await reader.readline())
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (OSError, TimeoutError, ValueError) as error:
            log.debug("a control request was not answered", reason=str(error))
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            handler = self._handlers[request["do"]]
        except (ValueError, KeyError, TypeError):
            known = ", ".join(sorted(self._handlers))
            return {"ok": False, "error": f"not a request; `do` is one of {known}"}
        try:
            return {"ok": True, **await handler(request)}
        except AgentError as error:
            return {"ok": False, "error": str(error)}
        except Exception:
            log.exception("a control request failed", request=request["do"])
            return {"ok": False, "error": "the agent failed to answer; its log says why"}


class NotRunning(AgentError):
    """No agent runs on this state directory."""


def ask(state_dir: Path, request: dict[str, Any]) -> dict[str, Any]:
    """The running agent's answer. NotRunning when there is none, AgentError when it refuses."""
    try:
        with Folder(state_dir, follow=True) as folder, connect(folder, FILE, _TIMEOUT) as peer:
            peer.sendall(json.dumps(request).encode() + b"\n")
            answer = _read_line(peer)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        raise NotRunning(f"no agent runs on {state_dir}; start it: remote-agent run") from None
    except PermissionError:
        raise AgentError(
            f"{state_dir} belongs to another user; run this as the user who runs the agent"
        ) from None
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or error
        raise AgentError(f"the agent does not answer ({why}); is it stopped?") from None
    if not answer.pop("ok", False):
        raise AgentError(str(answer.get("error", "the agent refused")))
    return answer


def _read_line(peer: socket.socket) -> dict[str, Any]:
    received, ends = bytearray(), time.monotonic() + _TIMEOUT
    while not received.endswith(b"\n"):
        # A job of the agent's account may answer in its place, a byte now and then.
        peer.settimeout(max(0.001, ends - time.monotonic()))
        piece = peer.recv(65536)
        if not piece or len(received) > _LARGEST:
            raise ValueError("the answer was cut off")
        received += piece
    answer = json.loads(received)
    if not isinstance(answer, dict):
        raise ValueError("the answer is no object")
    return answer
