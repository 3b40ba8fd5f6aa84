"""A small server of the API in this process, which does as the real one, and executors on it."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
os.environ.setdefault("AIRFLOW__API_AUTH__JWT_SECRET", "a secret of these tests" * 4)


def until(condition: Callable[[], Any], what: str, deadline: float = 15.0) -> Any:
    end = time.monotonic() + deadline
    while not (found := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.01)
    return found


class FakeServer:
    """Jobs in memory: keys, batches, look-ups, events, logs. `away`: it answers 503."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, str] = {}
        self.events: list[dict[str, Any]] = []
        self.cancelled: list[str] = []
        self.calls: list[str] = []
        self.bearers: set[str] = set()
        """Who has asked."""
        self.logs: dict[str, bytes] = {}
        self.errors: dict[str, bytes] = {}
        self.contents: dict[str, bytes] = {}
        self.bodies: dict[str, list[dict[str, Any]]] = {}
        """All that came with a key."""
        self.role = "operator"
        self.agents: list[dict[str, Any]] = [
            {"name": "alpha", "state": "online", "queues": ["default"]}
        ]
        self.queues = [{"name": "default"}]
        self.away = False
        self.largest = 1 << 30
        """Bytes of a content."""
        self.most = 2000
        """Jobs that it takes in one call."""
        self.lose_answers = 0
        """So many submissions are done, and not answered."""
        self.changed = threading.Condition()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                fake.bearers.add(self.headers["Authorization"])
                fake.get(self)

            def do_PATCH(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                fake.patch(self, self.rfile.read(size))

            def do_POST(self) -> None:
                fake.bearers.add(self.headers["Authorization"])
                size = int(self.headers.get("Content-Length") or 0)
                fake.post(self, json.loads(self.rfile.read(size) or b"{}"))

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        with self.changed:
            self.away = True
            self.changed.notify_all()
        self._http.shutdown()
        self._http.server_close()

    # What tests do -----------------------------------------------------------------------------

    def job_of(self, dispatch: str) -> dict[str, Any]:
        return self.jobs[self.keys[dispatch]]

    def move(self, dispatch: str, state: str, **fields: Any) -> None:
        """An event of a job."""
        with self.changed:
            job = self.job_of(dispatch)
            job.update(state=state, **fields)
            event = {"seq": len(self.events) + 1, "job": job["id"], "state": state, "detail": ""}
            self.events.append(event | {"idempotency_key": dispatch} | fields)
            self.changed.notify_all()

    # What it answers ---------------------------------------------------------------------------

    def answer(self, http: Any, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        http.send_response(status)
        http.send_header("Content-Type", "application/json")
        http.send_header("Content-Length", str(len(data)))
        http.end_headers()
        http.wfile.write(data)

    def get(self, http: Any) -> None:
        where = urlsplit(http.path)
        query = parse_qs(where.query)
        self.calls.append(f"GET {where.path}")
        if self.away:
            self.answer(http, 503, {"detail": "the server stops"})
        elif where.path.endswith("/events"):
            self._stream(http, int(query["after"][0]), query["follow"][0] == "true")
        elif "/contents/" in where.path:
            self.answer(http, 200, self._content(where.path))
        elif where.path.endswith("/log"):
            job = where.path.split("/")[-2]
            of_stream = self.errors if query["stream"] == ["stderr"] else self.logs
            text = of_stream.get(job, b"")[int(query.get("offset", ["0"])[0]) :]
            if "tail" in query:
                text = b"".join(text.splitlines(keepends=True)[-int(query["tail"][0]) :])
            http.send_response(200)
            http.send_header("Content-Length", str(len(text)))
            http.end_headers()
            http.wfile.write(text)
        elif (end := where.path.rpartition("/")[2]) in ("agents", "queues"):
            self.answer(http, 200, {"items": getattr(self, end)})
        elif end in ("version", "whoami"):
            self.answer(http, 200, {"version": "0.1.0", "name": "airflow", "role": self.role})
        else:
            name, _, value = query["annotation"][0].partition("=")
            found = [j for j in self.jobs.values() if j["annotations"].get(name) == value]
            self.answer(http, 200, {"items": found[::-1]})

    def _content(self, path: str) -> dict[str, Any]:
        digest = path.rsplit("/", 1)[1]
        data = self.contents.get(digest, b"")
        complete = bool(data) and hashlib.sha256(data).hexdigest() == digest
        return {"received": len(data), "state": "complete" if complete else "uploading"}

    def patch(self, http: Any, part: bytes) -> None:
        where = urlsplit(http.path)
        self.calls.append(f"PATCH {where.path}")
        query = parse_qs(where.query)
        digest, at = where.path.rsplit("/", 1)[1], int(query["offset"][0])
        before = self.contents.get(digest, b"")
        if self.away:
            self.answer(http, 503, {"detail": "the server stops"})
        elif int(query["size"][0]) > self.largest:
            self.answer(http, 413, {"detail": "a content may have less", "code": "body_too_large"})
        elif at > len(before):
            self.answer(http, 409, {"detail": "bytes are missing", "code": "content_gap"})
        else:
            self.contents[digest] = before[:at] + part
            self.answer(http, 200, self._content(where.path))

    def _stream(self, http: Any, after: int, follow: bool) -> None:
        http.send_response(200)
        http.send_header("Transfer-Encoding", "chunked")
        http.end_headers()

        def line(body: Any) -> None:
            data = json.dumps(body).encode() + b"\n"
            http.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

        if not follow:
            line({"event": "end", "after": len(self.events)})
            http.wfile.write(b"0\r\n\r\n")
            return
        while True:
            with self.changed:
                while len(self.events) <= after and not self.away:
                    self.changed.wait(1)
                if self.away:
                    http.close_connection = True
                    return
                new = self.events[after:]
                after = len(self.events)
            for event in new:
                line(event)

    def post(self, http: Any, body: Any) -> None:
        self.calls.append(f"POST {http.path}")
        if self.away:
            self.answer(http, 503, {"detail": "the server stops"})
        elif http.path.endswith("/batch") and len(body["jobs"]) > self.most:
            self.answer(http, 413, {"detail": "the body is too large"})
        elif http.path.endswith("/batch"):
            assert body["atomic"] is False
            results = [self._judged(job) for job in body["jobs"]]
            if self.lose_answers:
                self.lose_answers -= 1
                http.close_connection = True
                http.connection.close()
                return
            ids = [one["id"] for one in results if "id" in one]
            status = 201 if len(ids) == len(results) else 200
            self.answer(http, status, {"ids": ids, "results": results})
        elif http.path.endswith("/lookup"):
            keys = {k: self.keys[k] for k in body["idempotency_keys"] if k in self.keys}
            ids = {*keys.values(), *(job for job in body["ids"] if job in self.jobs)}
            self.answer(http, 200, {"items": [self.jobs[job] for job in ids], "keys": keys})
        elif http.path.endswith("/cancel"):
            self.cancelled.append(http.path.split("/")[-2])
            self.answer(http, 202, {})
        else:
            self.answer(http, 404, {"detail": f"there is no {http.path}"})

    def _judged(self, job: dict[str, Any]) -> dict[str, Any]:
        if job["queue"] == "nowhere":
            detail = "there is no queue 'nowhere'"
            return {"status": 422, "code": "unknown_queue", "detail": detail}
        known = job["idempotency_key"] in self.keys
        for file in job.get("files", ()) if not known else ():
            if self._content(f"/{file['digest']}")["state"] != "complete":
                detail = f"the content {file['digest']} is not here"
                return {"status": 422, "code": "content_missing", "detail": detail}
        return {"id": self._submit(job)}

    def _submit(self, body: dict[str, Any]) -> str:
        key = body["idempotency_key"]
        self.bodies.setdefault(key, []).append(body)
        if key not in self.keys:
            job = f"J{len(self.jobs)}"
            self.keys[key] = job
            self.jobs[job] = {**body, "id": job, "state": "queued", "agent": None}
        return self.keys[key]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    yield fake
    fake.close()


@pytest.fixture(autouse=True)
def settings(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__REMOTE__URL", server.url)
    monkeypatch.setenv("AIRFLOW__REMOTE__TOKEN", "rpt_x")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def executor() -> Iterator[Any]:
    from remote_airflow.executor import RemoteExecutor

    found = RemoteExecutor(parallelism=8)
    found.start()
    yield found
    found.terminate()


def workload(task: str = "t", number: int = 1, **fields: Any) -> Any:
    """A workload as the scheduler makes it, by the very model of this Airflow."""
    from airflow.executors import workloads

    ti = {
        "id": str(uuid.uuid4()),
        "dag_version_id": str(uuid.uuid4()),
        "task_id": task,
        "dag_id": "d",
        "run_id": "r",
        "try_number": number,
        "map_index": -1,
        "pool_slots": 1,
        "queue": "default",
        "priority_weight": 1,
        "hostname": "h",
        "external_executor_id": str(uuid.uuid4()),
    }
    return workloads.ExecuteTask.model_validate(
        {
            "ti": ti | fields,
            "token": "eyJ-a-token",
            "dag_rel_path": "dags.py",
            "bundle_info": {"name": "dags-folder"},
            "log_path": f"dag_id=d/run_id=r/task_id={task}/attempt={number}.log",
        }
    )


def callback(bundle: str = "dags-folder", path: str = "alerts.too_late") -> Any:
    """What a missed deadline calls."""
    from airflow.executors import workloads

    return workloads.ExecuteCallback.model_validate(
        {
            "callback": {
                "id": str(uuid.uuid4()),
                "fetch_method": "import_path",
                "data": {"path": path, "kwargs": {"who": "nobody"}},
            },
            "token": "eyJ-a-token",
            "dag_rel_path": "dags.py",
            "bundle_info": {"name": bundle},
            "log_path": "executor_callbacks/d/r/1",
        }
    )


class Instance:
    """A row of a task instance, as far as the executor looks."""

    def __init__(self, work: Any, dispatch: str | None, state: str = "running") -> None:
        ti = work.ti
        self.key = ti.key
        self.dag_id, self.run_id, self.task_id = ti.dag_id, ti.run_id, ti.task_id
        self.map_index, self.try_number = ti.map_index, ti.try_number
        self.external_executor_id, self.state = dispatch, state
        self.queued_dttm = self.start_date = self.end_date = None


def run(executor: Any, *works: Any) -> list[str]:
    """Queue and dispatch workloads as a scheduler does; their dispatches."""
    for work in works:
        executor.queue_workload(work, session=None)
    executor.heartbeat()
    return [str(executor._dispatches._current.get(work.ti.key)) for work in works]


def told(executor: Any, key: Any, state: str) -> None:
    """Beat until Airflow was told this state of the task."""

    def look() -> bool:
        executor.heartbeat()
        return str(executor.event_buffer.get(key, ("", None))[0]) == state

    until(look, f"{key} is {state}: {executor.event_buffer}")


def known(name: str) -> bool:
    """Whether it is a setting of Airflow, or one that this provider describes."""
    from airflow.configuration import conf

    from remote_airflow.info import get_provider_info

    _, section, option = name.lower().split("__")
    ours = get_provider_info()["config"]
    described = ours if section in ours else conf.configuration_description
    return option in described[section]["options"]


PATCHED = (
    "process_log_messages_from_subprocess",
    "forward_to_log",
    "make_buffered_socket_reader",
    "_configure_logs_over_json_channel",
)


@pytest.fixture
def own_supervisor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """What is replaced in the supervisor is put back, and nothing is masked."""
    from airflow.sdk._shared.secrets_masker import reset_secrets_masker
    from airflow.sdk.execution_time import supervisor

    monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(tmp_path))
    for name in PATCHED:
        monkeypatch.setattr(supervisor, name, getattr(supervisor, name))
    reset_secrets_masker()
    yield
    reset_secrets_masker()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, own_supervisor: None) -> list[bytes]:
    """Lines that went Airflow's own way."""
    from airflow.sdk.execution_time import supervisor

    found: list[bytes] = []
    for name in PATCHED[:2]:
        made = getattr(supervisor, name)

        def noted(*given: Any, made: Any = made, **named: Any) -> Any:
            lines = made(*given, **named)
            next(lines)
            while True:
                line = yield
                found.append(bytes(line))
                lines.send(line)

        monkeypatch.setattr(supervisor, name, noted)
    return found
