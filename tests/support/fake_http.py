"""A real HTTP server in a thread that gives scripted answers and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.quiet import Quiet


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Answer:
    """One answer to give; `cut` breaks the connection after so many bytes of the body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None


def answer_json(document: object, status: int = 200) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, json.dumps(document).encode(), {"Content-Type": "application/json"})


def problem(status: int, code: str, detail: str) -> Answer:
    """A problem+json answer."""
    return answer_json({"title": code, "status": status, "code": code, "detail": detail}, status)


VERSION = {
    "product": "remote-server",
    "version": "0.1.0",
    "protocol": 1,
    "api": "v1",
}


class FakeHttp:
    """Answers by `route(asked)`. Use as a context manager."""

    def __init__(self, route: Callable[[Asked], Answer], port: int = 0) -> None:
        self.asked: list[Asked] = []
        fake = self

        class Server(Quiet, ThreadingHTTPServer):
            daemon_threads = True

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(size)
                asked = Asked(self.command, self.path, dict(self.headers), body)
                fake.asked.append(asked)
                answer = route(asked)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                if answer.cut is None:
                    self.wfile.write(answer.body)
                else:
                    self.wfile.write(answer.body[: answer.cut])
                    self.close_connection = True

            do_GET = do_POST = do_PATCH = do_DELETE = _serve

            def log_message(self, format: str, *args: object) -> None:
                """Tests need no access log."""

        self._server = Server(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FakeHttp:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
