"""The network of the live checks without any sockets: what each step gives or raises is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remote_protocol.reachability.target import Answer, Wire


class FakeWire:
    """Gives `answer` to whatever is sent, in pieces of any size."""

    def __init__(self, answer: bytes = b"") -> None:
        self.answer = answer
        self.sent = b""
        self.closed = False

    def sendall(self, data: bytes, /) -> None:
        self.sent += data

    def recv(self, size: int, /) -> bytes:
        piece, self.answer = self.answer[:7], self.answer[7:]
        return piece

    def close(self) -> None:
        self.closed = True


class FakeNetwork:
    """`answers` are given one after the other; an exception in place of any value is raised."""

    def __init__(self, *answers: Any, **steps: Any) -> None:
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
        self.wires.append(FakeWire(self._give(self.steps["connect"])))
        return self.wires[-1]

    def secure(self, wire: Wire, host: str) -> tuple[Wire, float]:
        return wire, self._give(self.steps["secure"])

    def speaks_tls(self, wire: Wire) -> bool:
        return bool(self._give(self.steps["speaks"]))

    def ask(self, wire: Wire, place: str, target: str, headers: Mapping[str, str]) -> Answer:
        wire.close()
        self.asked.append((place, target, dict(headers)))
        answer: Answer = self._give(self.answers.pop(0))
        return answer

    def now(self) -> float:
        return float(self.steps["now"])
