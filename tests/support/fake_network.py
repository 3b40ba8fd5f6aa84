"""The network of the live checks without any sockets: what each step gives or raises is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remote_protocol.reachability.ports import Answer, Wire


class FakeWire:
    """Gives `answer` in pieces of any size; to a GET what `asked` says instead."""

    def __init__(self, answer: bytes = b"", asked: Callable[[str], bytes] = lambda _: b"") -> None:
        self.answer = answer
        self.sent = b""
        self.closed = False
        self._asked = asked

    def settimeout(self, seconds: float, /) -> None:
        assert seconds > 0

    def sendall(self, data: bytes, /) -> None:
        if data.startswith(b"GET "):
            self.answer = self._asked(data.decode())
        else:
            self.sent += data

    def recv(self, size: int, /) -> bytes:
        piece, self.answer = self.answer[:7], self.answer[7:]
        return piece

    def close(self) -> None:
        self.closed = True


class FakeNetwork:
    """`answers` are given one after the other; an exception in place of any value is raised."""

    def __init__(self, *answers: Any, **steps: Any) -> None:
        self.timeout = 1.0
        self.answers = list(answers)
        self.steps: dict[str, Any] = {
            "resolve": ["192.0.2.1"],
            "connect": b"",
            "secure": 1e9,
            "speaks": False,
        }
        self.steps |= {"now": 0.0, **steps}
        self.wires: list[FakeWire] = []
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.places: list[tuple[str, int]] = []

    def _give(self, value: Any) -> Any:
        if isinstance(value, BaseException):
            raise value
        return value

    def resolve(self, host: str, port: int) -> Any:
        return self._give(self.steps["resolve"])

    def connect(self, host: str, port: int) -> Wire:
        self.places.append((host, port))
        self.wires.append(FakeWire(self._give(self.steps["connect"]), self._ask))
        return self.wires[-1]

    def secure(self, wire: Wire, host: str) -> tuple[Wire, float]:
        return wire, self._give(self.steps["secure"])

    def speaks_tls(self, wire: Wire) -> bool:
        return bool(self._give(self.steps["speaks"]))

    def _ask(self, request: str) -> bytes:
        first, *lines = request.rstrip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        assert (headers.pop("User-Agent"), headers.pop("Connection")) == ("doctor", "close")
        self.asked.append((headers.pop("Host"), first.split(" ")[1], headers))
        answer: Answer = self._give(self.answers.pop(0))
        head = [f"HTTP/1.1 {answer.status} Whatever", *map(": ".join, answer.headers.items())]
        return "\r\n".join([*head, "", ""]).encode() + answer.body

    def now(self) -> float:
        return float(self.steps["now"])

    def clock(self) -> float:
        return 0.0
