"""What is said of a proxy in a task's log, with Airflow's own client and a proxy on loopback."""

from __future__ import annotations

import json
import threading
import types
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from airflow.sdk.api.client import Client

import remote_airflow

API = "https://airflow.invalid/execution/"


class Proxy:
    """Answers what it is told to, tunnels and plain requests alike, and connects to nothing."""

    def __init__(self) -> None:
        self.status = 200
        self.asked: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                proxy.asked.append(self.requestline)
                self.send_response(proxy.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_CONNECT = do_GET = _answer

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    found = Proxy()
    yield found
    found.close()


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """What stands before the program, as a module; the client is put back."""
    found = types.ModuleType("task_proxy")
    exec(Path(remote_airflow.__file__).with_name("task_proxy.py").read_text(), found.__dict__)
    monkeypatch.setattr(Client, "send", Client.send)
    monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(tmp_path))
    found.explains_proxies("task.log", True)
    return found


def ask(url: str = API) -> httpx.Response:
    """One request, without what Airflow does again."""
    with Client(base_url=url, token="t") as client:
        return client.send(client.build_request("GET", "variables/a"))


def log(folder: Path) -> list[dict[str, str]]:
    file = folder / "task.log"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.parametrize(
    ("status", "user", "words"),
    [
        (407, "", "wants a user and a password; write http://USER:PASSWORD@HOST:PORT"),
        (407, "me:hush@", "does not take this user and password; correct them"),
        (403, "me:hush@", "makes no connection to airflow.invalid; have it allowed there"),
    ],
)
def test_a_refusal_fails_the_task_with_cause_and_cure(
    proxy: Proxy,
    program: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    status: int,
    user: str,
    words: str,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{user}127.0.0.1:{proxy.port}")
    proxy.status = status
    with pytest.raises(program.ProxyRefuses) as refused:
        ask()
    (line,) = log(tmp_path)
    assert line["event"] == str(refused.value) and line["level"] == "error"
    begin = "The Execution API cannot be reached: the proxy 127.0.0.1"
    assert line["event"].startswith(f"{begin}:{proxy.port} (HTTPS_PROXY) says {status} ")
    assert words in line["event"] and "hush" not in line["event"]
    assert proxy.asked == ["CONNECT airflow.invalid:443 HTTP/1.1"]


def test_what_may_pass_is_asked_again_and_said_once(
    proxy: Proxy, program: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    proxy.status = 502
    for _ in range(2):
        with pytest.raises(httpx.ProxyError):
            ask()
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with pytest.raises(httpx.ConnectError):
        ask()
    said = [line["event"] for line in log(tmp_path)]
    assert len(said) == 2
    assert "says 502 Bad Gateway and cannot reach airflow.invalid" in said[0]
    assert "does not answer" in said[1] and "NO_PROXY" in said[1]


def test_a_task_that_has_begun_is_not_given_up(
    proxy: Proxy, program: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    url = "http://airflow.invalid/execution/"
    assert ask(url).status_code == 200
    proxy.status = 407
    for _ in range(2):
        # Airflow asks again after this one.
        with pytest.raises(httpx.RequestError):
            ask(url)
    assert len(log(tmp_path)) == 1
    proxy.status = 200
    assert ask(url).status_code == 200
    proxy.status = 404
    with pytest.raises(httpx.HTTPStatusError):
        ask(url)
    assert len(log(tmp_path)) == 1, "the Execution API's own answer"


def test_hosts_that_are_excepted_are_asked_directly(
    proxy: Proxy, program: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", ".invalid")
    with pytest.raises(httpx.ConnectError):
        ask()
    assert proxy.asked == [] and log(tmp_path) == []


def test_a_relay_is_never_asked_by_a_proxy(
    proxy: Proxy, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
    other = Proxy()
    monkeypatch.setenv("REMOTE_RELAY_URL", f"http://127.0.0.1:{other.port}/secret/")
    monkeypatch.setenv("NO_PROXY", "a.example")
    monkeypatch.setenv("no_proxy", "b.example")
    program.asks_its_own_host_directly()
    assert ask(f"http://127.0.0.1:{other.port}/secret/execution/").status_code == 200
    other.close()
    assert proxy.asked == [] and other.asked == ["GET /secret/execution/variables/a HTTP/1.1"]
