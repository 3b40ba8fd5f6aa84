"""Jobs that reach a program behind the server by a relay, with real processes: what passes, what is
refused, and what becomes of it when agent, server or line are away."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from remote_protocol.api.jobs import JobView
from remote_protocol.api.queues import QueueCreate
from remote_protocol.states import JobState
from tests.support.authority import Authority
from tests.support.behind_relay import BehindRelay
from tests.support.connect_proxy import ConnectProxy
from tests.support.relay import Relay
from tests.support.searched import content_of, files_below
from tests.support.stack import Agent, Stack, says, until

HOLD = 'printf %s "$REMOTE_RELAY_URL" > {file}.new; mv {file}.new {file}; exec sleep 300'
MIB = 1 << 20
PYTHON = """
import os, urllib.request
base = os.environ["API"]
print(urllib.request.urlopen(base + "hello?a=1").read().decode())
sent = urllib.request.Request(
    base + "echo", data=b"12345", method="PUT", headers={"Authorization": "Bearer its-own"}
)
print(urllib.request.urlopen(sent).read().decode())
print("its address:", base)
"""


@pytest.fixture(scope="module")
def behind() -> Iterator[BehindRelay]:
    with BehindRelay() as program:
        yield program


def configured(root: Path, behind: BehindRelay) -> str:
    """The file of a server with a relay, for the queue `default` alone."""
    file = root / "server.toml"
    file.write_text(
        f'[relay.api]\nurl = "{behind.url}"\nprefix = "/items/"\nqueues = ["default"]\n'
    )
    return str(file)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, behind: BehindRelay) -> Iterator[Stack]:
    """A server with a relay, and an agent."""
    root = tmp_path_factory.mktemp("relay")
    with Stack(root, CONFIG=configured(root, behind)) as stack:
        stack.start_server()
        stack.client.create_queue(QueueCreate(name="other"))
        stack.agent("alpha", "--queue", "default", "--queue", "other", capacity=8)
        yield stack


class Held:
    """A job that keeps its relay open, whose part the test plays."""

    def __init__(self, stack: Stack, **fields: object) -> None:
        self.stack = stack
        self.file = stack.root / f"url-{time.monotonic_ns()}"
        self.id = stack.submit(HOLD.format(file=self.file), relay="api", **fields).id
        until(self.file.exists, "the job has its address")
        self.url = self.file.read_text()
        parts = urlsplit(self.url)
        self.port = parts.port or 0
        self.secret = parts.path.strip("/")
        stack.reaches(self.id, JobState.RUNNING)

    def get(self, path: str, **options: object) -> httpx.Response:
        return httpx.get(self.url + path, timeout=30, **options)  # type: ignore[arg-type]

    def raw(self, request: bytes) -> bytes:
        """What comes back on a connection for what nobody's library would send."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as wire:
            wire.sendall(request)
            wire.settimeout(40)
            said = b""
            while piece := wire.recv(65536):
                said += piece
                head, end, body = said.partition(b"\r\n\r\n")
                size = [line for line in head.lower().split(b"\r\n") if b"content-length" in line]
                if end and size and len(body) >= int(size[0].split(b":")[1]):
                    break
            return said

    def asks(self, target: str) -> bytes:
        """The answer to this very target below the secret."""
        return self.raw(f"GET /{self.secret}{target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

    def end(self) -> JobView:
        self.stack.client.cancel(self.id)
        return self.stack.client.wait(self.id, 30)


def test_a_job_reaches_it_and_its_address_is_masked(stack: Stack, behind: BehindRelay) -> None:
    notes = stack.agents["alpha"].state_dir / "relays"
    # Others of this module may have relays, and may have asked before.
    others, before = set(os.listdir(notes)) if notes.exists() else set(), len(behind.asked)
    file = stack.root / "asks.py"
    file.write_text(PYTHON)
    words = ("--relay", "api", "--env", "API=${REMOTE_RELAY_URL}items/", "--file", file)
    done = stack.ctl("run", *words, "--", "python3", "asks.py")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    assert lines[:2] == ["GET /items/hello?a=1", "12345"]
    assert lines[2].startswith("its address: ") and "***" in lines[2] and "127" not in lines[2]
    put = behind.asked[before + 1]
    assert (put.method, put.target, put.body) == ("PUT", "/items/echo", b"12345")
    assert put.headers["Authorization"] == "Bearer its-own"
    assert put.headers["Host"] == f"127.0.0.1:{behind.port}"
    assert not [name for name in put.headers if name.lower().startswith("relayed")]
    # It is closed with the attempt, and nothing of it is left.
    assert set(os.listdir(notes)) == others | {".key"}


def test_answers_pass_as_they_are(stack: Stack, behind: BehindRelay) -> None:
    job = Held(stack)
    answer = job.get("items/thing?status=404", headers={"Cookie": "a=b", "X-Mine": "too"})
    assert (answer.status_code, answer.text) == (404, "GET /items/thing?status=404")
    assert answer.headers["X-Own"] == "passes"
    assert not {"set-cookie", "keep-alive"} & set(answer.headers)
    assert behind.asked[-1].headers["X-Mine"] == "too" and "Cookie" not in behind.asked[-1].headers
    for status in (401, 302, 204, 500, 503):
        answer = job.get(f"items/thing?status={status}", follow_redirects=False)
        assert answer.status_code == status
    assert "/elsewhere" not in behind.targets
    assert httpx.head(f"{job.url}items/thing").status_code == 200
    # Both ways in pieces, whose number nobody knows before.
    whole = b"y" * (3 * MIB)
    sent = httpx.post(
        f"{job.url}items/echo", content=(whole[n : n + 5000] for n in range(0, len(whole), 5000))
    )
    assert sent.content == whole and behind.asked[-1].body == whole
    assert len(job.get(f"items/large?size={64 * MIB}").content) == 64 * MIB
    with httpx.Client() as client:
        before = len(behind.asked)
        for number in range(5):
            assert client.get(f"{job.url}items/{number}").text == f"GET /items/{number}"
        assert len(behind.asked) == before + 5
    secret = job.secret.encode()
    job.end()
    found = [path for path in files_below(stack.root) if secret in content_of(path)]
    assert found == [job.file]


@pytest.fixture(scope="module")
def held(stack: Stack) -> Held:
    """A job that attacks share."""
    return Held(stack)


@pytest.mark.parametrize(
    "target",
    [
        *("/", "/other", "/itemsX/a", "/items/../secret", "/items/./a", "/items/..", "//items/a"),
        *("/items/%2e%2e/secret", "/items/%2E./secret", "/items/..%2fsecret", "/items/a%2Fb"),
        *("/items/%252e%252e/secret", "/items/%252fsecret", "/items/..;/secret", "/items//a"),
        *("/items/\\..\\secret", "/items/%5c..%5csecret", "/items/a%00", "/items/a%0d%0aHost:x"),
        *("/items/%zz", "/items/%", "/items/a#b", "/items/ä", "/%69tems/a", "/ITEMS/a"),
    ],
)
def test_no_trick_leads_elsewhere(held: Held, behind: BehindRelay, target: str) -> None:
    before = len(behind.asked)
    answer = held.asks(target)
    assert answer.split(b" ")[1] in (b"400", b"403"), answer
    assert len(behind.asked) == before


def test_who_does_not_know_the_secret_is_told_nothing(stack: Stack, held: Held) -> None:
    other = Held(stack)
    assert other.port != held.port and other.secret != held.secret
    for path in ("/", "/items/a", f"/{other.secret}/items/a", f"/{held.secret[:-1]}/items/a"):
        answer = held.raw(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 404 ") and b"REMOTE_RELAY_URL" in answer
    absolute = f"GET http://127.0.0.1:8750/{held.secret}/items/a HTTP/1.1\r\nHost: a\r\n\r\n"
    assert held.raw(absolute.encode()).startswith(b"HTTP/1.1 404 ")
    assert held.raw(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n").startswith(b"HTTP/1.1 404 ")
    other.end()
    # With its attempt its endpoint is gone.
    until(lambda: refused(other.port), "the port is closed")


def refused(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding : chunked",
        "X: a\r\n folded: b",
        "X" * 30_000 + ": a",
        "\r\n".join(f"X{n}: a" for n in range(60)),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(
    held: Held, behind: BehindRelay, head: str
) -> None:
    before = len(behind.asked)
    request = f"POST /{held.secret}/items/a HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n0\r\n\r\n"
    assert held.raw(request.encode()).split(b" ")[1] in (b"400", b"431")
    assert len(behind.asked) == before


def test_no_body_is_larger_than_64_mib(held: Held, behind: BehindRelay) -> None:
    before = len(behind.asked)
    large = f"POST /{held.secret}/items/a HTTP/1.1\r\nHost: a\r\nContent-Length: {65 * MIB}\r\n\r\n"
    says(held.raw(large.encode()).decode(), "413", "64 MiB")
    assert len(behind.asked) == before
    pieces = (b"x" * MIB for _ in range(65))
    # It may still be sending when the connection is closed.
    with suppress(httpx.TransportError):
        assert httpx.post(f"{held.url}items/a", content=pieces, timeout=60).status_code == 413
    # What came of it was never a whole request.
    assert len(behind.asked) == before
    with pytest.raises(httpx.RemoteProtocolError):
        held.get(f"items/a?size={65 * MIB}")
    assert held.get("items/a").status_code == 200


def test_seventeen_at_a_time_are_one_too_many(held: Held, behind: BehindRelay) -> None:
    answers: list[int] = []

    def ask() -> None:
        answers.append(held.get("items/hang").status_code)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert behind.hanging.acquire(timeout=30)
    said = held.get("items/quick")
    assert said.status_code == 503 and "16 requests of this job" in said.json()["detail"]
    assert said.headers["Retry-After"] == "1"
    behind.let_go()
    for thread in threads:
        thread.join(30)
    assert answers == [200] * 16
    assert held.get("items/quick").status_code == 200


def test_who_sends_slowly_waits_in_nobodys_way(held: Held) -> None:
    said: dict[str, bytes] = {}

    def drip(name: str, begun: bytes) -> None:
        with socket.create_connection(("127.0.0.1", held.port), 10) as wire:
            wire.settimeout(0.5)
            wire.sendall(begun)
            end = time.monotonic() + 60
            while time.monotonic() < end:
                try:
                    said[name] = wire.recv(65536)
                    return
                except TimeoutError:
                    if name == "head":
                        wire.sendall(b"a")

    line = f"POST /{held.secret}/items/a HTTP/1.1\r\nHost: a\r\n".encode()
    slow = [
        threading.Thread(target=drip, args=("head", line + b"X: ")),
        threading.Thread(target=drip, args=("body", line + b"Content-Length: 9\r\n\r\nab")),
    ]
    for thread in slow:
        thread.start()
    assert held.get("items/quick").status_code == 200
    for thread in slow:
        thread.join(60)
    for name in ("head", "body"):
        says(said[name].decode(), "408", "too slowly")


def test_only_the_agent_of_the_attempt_is_served(
    stack: Stack, held: Held, behind: BehindRelay
) -> None:
    beta = stack.agent("beta")
    job = stack.client.job(held.id)
    assert job.agent == "alpha"
    tokens = {name: stack.client.rotate_agent_token(name).token for name in ("beta",)}
    tokens["alpha"] = identity_of(stack.agents["alpha"])
    before = len(behind.asked)

    def ask(token: str, attempt: str, **more: str) -> httpx.Response:
        headers = {"Relayed-Method": "GET", "Relayed-Target": "/items/a"} | more
        headers["Authorization"] = f"Bearer {token}"
        url = f"{stack.url}/api/v1/agent/relay/{attempt}"
        return httpx.post(url, headers=headers, content=b"")

    attempt = f"{held.id}.1"
    other = ask(tokens["beta"], attempt)
    assert other.status_code == 403
    says(other.json()["detail"], attempt, "does not run on the agent 'beta'")
    assert ask(stack.admin_token, attempt).json()["code"] == "wrong_token_kind"
    assert ask("none", attempt).status_code == 401
    mine = tokens["alpha"]
    assert ask(mine, f"{held.id}.2").status_code == 403
    assert ask(mine, "nothing").status_code == 404
    plain = stack.submit("sleep 60", agent="alpha").id
    stack.reaches(plain, JobState.RUNNING)
    says(ask(mine, f"{plain}.1").json()["detail"], "has no relay")
    stack.client.cancel(plain)
    for trick in ("/items/../a", "/other", "http://127.0.0.1/items/a", "items/a", ""):
        assert ask(mine, attempt, **{"Relayed-Target": trick}).status_code in (400, 403)
    assert ask(mine, attempt, **{"Relayed-Method": "TRACE"}).status_code == 400
    assert len(behind.asked) == before
    good = ask(mine, attempt)
    assert (good.status_code, good.headers["Relayed-Status"]) == (200, "200")
    assert beta.stop() in (0, 4)


def identity_of(agent: Agent) -> str:
    """The token of an agent, as who has its host can read it."""
    identity = json.loads((agent.state_dir / "identity.json").read_text())
    return str(identity["token"])


def test_who_may_ask_for_a_relay(stack: Stack) -> None:
    done = stack.ctl("run", "--relay", "api", "--queue", "other", "--", "true")
    assert done.returncode == 2
    says(done.stderr.decode(), "--relay", "the relay 'api' is not for jobs in the queue 'other'")
    done = stack.ctl("run", "--relay", "nothing", "--", "true")
    assert done.returncode == 2
    says(done.stderr.decode(), "there is no relay 'nothing'", "[relay.nothing]")
    done = stack.ctl("run", "--relay", "api", "--image", "debian", "--", "true")
    assert done.returncode == 2
    says(done.stderr.decode(), "relay does not go with a container", "network: host")
    done = stack.ctl("run", "--each", "--relay", "nothing", "--", "true")
    assert done.returncode == 2
    says(done.stderr.decode(), "there is no relay 'nothing'")
    closed = stack.agent("closed", config="[relay]\nallow = []\n")
    job = stack.run("true", relay="api", agent="closed")
    says(job.end_detail or "", "does not let jobs use the relay 'api'", "[relay] allow")
    # No job of another test goes there.
    assert closed.stop() == 0


# What is away ------------------------------------------------------------------------------


def test_it_is_back_at_the_same_address_when_the_agent_was_killed(stack: Stack) -> None:
    job = Held(stack, agent="alpha")
    assert job.get("items/a").status_code == 200
    agent = stack.agents["alpha"]
    agent.kill()
    assert refused(job.port)
    agent.start()
    until(lambda: not refused(job.port), "the endpoint is back")
    assert job.get("items/a").text == "GET /items/a"
    stack.online("alpha")
    job.end()
    until(lambda: refused(job.port), "the port is closed")
    # One that ended meanwhile is not opened again.
    job = Held(stack, agent="alpha")
    agent.kill()
    agent.start()
    job.end()
    until(lambda: refused(job.port), "the port is closed")
    note = agent.state_dir / "relays" / f"{job.id}.1"
    until(lambda: not note.exists(), "its port is forgotten")


def test_a_restart_of_the_server_is_a_503(stack: Stack) -> None:
    job = Held(stack, agent="alpha")
    with httpx.Client(timeout=30) as client:
        assert client.get(f"{job.url}items/a").status_code == 200
        stack.server.kill()
        away = client.get(f"{job.url}items/a")
        assert away.status_code == 503 and away.headers["Retry-After"] == "1"
        says(away.json()["detail"], "relay: ", "server")
        stack.start_server()
        # At once, for the database knows of the attempt: its agent may come back later.
        assert client.get(f"{job.url}items/a").text == "GET /items/a"
    stack.online("alpha")
    job.end()


def test_a_cut_line_and_a_program_that_is_away(tmp_path: Path) -> None:
    with BehindRelay() as program, Stack(tmp_path) as stack:
        # Named by variables alone.
        stack.server.env |= {
            "REMOTE_SERVER_RELAY_API_URL": program.url,
            "REMOTE_SERVER_RELAY_API_PREFIX": "/items/",
            "REMOTE_SERVER_RELAY_API_QUEUES": "default",
        }
        stack.start_server()
        line = Relay(("127.0.0.1", stack.port)).start()
        stack.agent("far", url=f"http://127.0.0.1:{line.port}")
        job = Held(stack)
        answers: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: answers.append(job.get("items/hang")))
        asking.start()
        assert program.hanging.acquire(timeout=30)
        line.cut()
        asking.join(30)
        assert answers[0].status_code == 503
        says(answers[0].json()["detail"], "the server", "try again")
        line.refuse(True)
        until(lambda: job.get("items/a").status_code == 503, "refused")
        line.refuse(False)
        until(lambda: job.get("items/a").status_code == 200, "back")
        program.close()
        away = job.get("items/a")
        assert away.status_code == 502
        says(away.json()["detail"], "the program behind the relay 'api' cannot be reached")
        assert f":{program.port}" not in away.text
        token = {"Authorization": f"Bearer {stack.admin_token}"}
        metrics = httpx.get(f"{stack.url}/metrics", headers=token).text
        assert 'remote_relay_requests_total{relay="api"} 3' in metrics
        assert 'remote_relay_failures_total{relay="api",reason="agent_gone"} 1' in metrics
        assert 'remote_relay_failures_total{relay="api",reason="relay_failed"} 1' in metrics
        line.stop()


def test_through_a_proxy_and_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.certify("jobs.invalid", "127.0.0.1")
    with BehindRelay() as program, authority.stack() as stack:
        stack.server.env["REMOTE_SERVER_CONFIG"] = configured(tmp_path, program)
        stack.start_server()
        with ConnectProxy(("127.0.0.1", stack.port), "me:p@ss") as proxy:
            way = ("--proxy", f"http://me:p%40ss@{proxy.place}", "--ca-file", stack.ca_file)
            stack.agent("far", *way, url="https://jobs.invalid:8750")
            job = Held(stack)
            assert job.get("items/a").text == "GET /items/a"
            assert httpx.post(f"{job.url}items/a", content=b"z" * MIB).content == b"z" * MIB
            job.end()
