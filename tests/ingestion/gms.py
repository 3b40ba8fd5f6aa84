"""A minimal server of DataHub's metadata, for its REST sink: says who it is, keeps what it gets."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Gms:
    """Use as a context manager. `slow` answers no proposal before `proceed` is set."""

    def __init__(self, token: str, slow: bool = False) -> None:
        self.proposals: list[dict[str, Any]] = []
        self.refused = 0
        self.proceed = threading.Event()
        self.reached = threading.Event()
        if not slow:
            self.proceed.set()
        gms = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                versions = {"acryldata/datahub": {"version": "v1.7.0"}}
                kind = {"serverType": "quickstart"}
                self._say(200, {"noCode": "true", "versions": versions, "datahub": kind})

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Authorization") != f"Bearer {token}":
                    gms.refused += 1
                    self._say(401, {"message": "unauthorized"})
                    return
                gms.reached.set()
                gms.proceed.wait(120)
                document = json.loads(raw)
                found = document if isinstance(document, list) else [document]
                for one in found:
                    gms.proposals += one.get("proposals") or [one.get("proposal") or one]
                self._say(200, {"value": ""})

            def _say(self, code: int, document: object) -> None:
                body = json.dumps(document).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.proceed.set()
        self._server.shutdown()
        self._server.server_close()
