"""What is said where the server cannot be asked: with its address, the cause and the cure."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from remote_airflow.server import Server, Unavailable
from remote_airflow.settings import load

from .conftest import FakeServer, run, until, workload


@pytest.fixture
def another() -> Iterator[str]:
    """Another program, which has nothing of ours: as Airflow's api-server."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.dumps({"detail": "Not Found"}).encode()
            self.send_response(404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer

        def log_message(self, *_: object) -> None:
            pass

    found = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=found.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{found.server_port}"
    found.shutdown()
    found.server_close()
    thread.join()


def asked(monkeypatch: pytest.MonkeyPatch, **settings: str) -> str:
    """What a call says that cannot be made."""
    from airflow.configuration import conf

    for name, value in settings.items():
        monkeypatch.setenv(f"AIRFLOW__REMOTE__{name.upper()}", value)
    server = Server(load(conf), timeout=5.0)
    try:
        with pytest.raises(Unavailable) as said:
            server.get("/version")
    finally:
        server.close()
    return str(said.value)


def test_what_is_not_reached_is_named_with_the_cure(
    server: FakeServer, another: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def at(url: str, **more: str) -> str:
        return asked(monkeypatch, url=url, **more)

    said = at("http://127.0.0.1:9")
    assert said.startswith("http://127.0.0.1:9 is not reached (") and "refused" in said
    assert said.endswith("check that it runs, that this host reaches it, and [remote] url")
    assert "http://jobs.invalid is not reached (" in at("http://jobs.invalid")
    said = at(another)
    assert said.startswith(f"what answers at {another} is no remote-server; check [remote] url")
    assert "no TLS; is its address one of http://?" in at(another.replace("http:", "https:"))
    for file, words in ((tmp_path / "none", "No such file"), (tmp_path / "ca", "")):
        (tmp_path / "ca").write_text("no certificate")
        said = at(server.url, ca_file=str(file))
        assert f"[remote] ca_file {file} cannot be used (" in said and words in said


def test_no_task_fails_because_another_program_answers(
    another: str, executor: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from remote_airflow.executor import RemoteExecutor

    monkeypatch.setenv("AIRFLOW__REMOTE__URL", another)
    wrong = RemoteExecutor(parallelism=8)
    wrong.start()
    try:
        work = workload("t")
        run(wrong, work)
        until(lambda: "is no remote-server" in caplog.text, "the scheduler's log says so")
        wrong.heartbeat()
        assert work.ti.key in wrong.running and not wrong.event_buffer
    finally:
        wrong.terminate()
