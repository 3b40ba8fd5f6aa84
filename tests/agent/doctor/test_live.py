"""What the live checks say of tokens, queues and WebSockets, which are real ones."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from remote_agent.connection.endpoint import Endpoint
from remote_agent.doctor import live
from remote_protocol.api.registration import QueueStanding, RegistrationView
from remote_protocol.limits import SUBPROTOCOL
from remote_protocol.reachability.ports import Answer
from remote_protocol.report import Finding, Status
from tests.support.old_proxy import OldProxy
from tests.support.scripted import Scripted, http

TOKEN = "rat_" + "s" * 43


def failed(finding: Finding, code: str) -> str:
    assert (finding.status, finding.code) == (Status.FAIL, code), finding
    assert finding.finding and finding.cure
    return f"{finding.finding} {finding.why} {finding.cure}"


def problem(status: int, code: str, detail: str) -> Answer:
    body = {"title": code, "status": status, "code": code, "detail": detail}
    return Answer(status, {}, json.dumps(body).encode())


def shown(**fields: Any) -> Answer:
    view = RegistrationView(**{"kind": "agent", "name": "web-7", **fields})
    return Answer(200, {}, view.model_dump_json().encode())


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (problem(401, "expired_token", "it expired at noon"), "token_expired", "at noon"),
        (problem(401, "invalid_token", "unknown or revoked"), "token_unknown", "register"),
        (problem(403, "wrong_token_kind", "an API token"), "token_of_wrong_kind", "API token"),
        (problem(503, "store_unavailable", "database away"), "token_refused", "database away"),
        (Answer(404, {}, b"<html>"), "token_refused", "HTTP 404"),
        (Answer(200, {}, b"<html>"), "token_refused", "none that this version knows"),
        (shown(kind="registration", uses_left=0), "token_used_up", "registration-token create"),
    ],
)
def test_tokens_that_are_refused(answer: Answer, code: str, words: str) -> None:
    finding, view = live.token(answer)
    assert view is None and words in failed(finding, code)


def test_a_good_token() -> None:
    finding, view = live.token(shown())
    assert view is not None and finding.finding == "good: agent token of the agent web-7"
    until = datetime(2030, 1, 2, 3, 4, tzinfo=UTC)
    given = shown(kind="registration", name=None, uses_left=2, expires_at=until)
    assert live.token(given)[0].finding == (
        "good: registration token to register with, 2 uses left, until 2030-01-02 03:04 UTC"
    )
    assert "Connection reset" in failed(
        live.unanswered(ConnectionResetError(104, "Connection reset by peer")), "token_refused"
    )


def test_what_the_server_wants_of_the_agent() -> None:
    def view(**fields: Any) -> RegistrationView:
        return RegistrationView(kind="agent", name="web-7", **fields)

    assert live.mode(view()).status is Status.PASS
    said = failed(live.mode(view(paused=True, pause_comment="new disk")), "server_pauses")
    assert "new disk" in said and "remotectl agent resume web-7" in said
    failed(live.mode(view(draining=True)), "server_drains")


def test_queues() -> None:
    berlin, night = QueueStanding(name="berlin"), QueueStanding(name="night", paused=True)
    gone = QueueStanding(name="gone", exists=False)

    def look(*found: QueueStanding, wanted: tuple[str, ...] = (), **more: Any) -> Finding:
        view = RegistrationView(kind="agent", name="a", queues=list(found), **more)
        return live.queues(live.Bearer(view, wanted))

    assert look(berlin, wanted=("berlin",)).finding == "serves berlin"
    assert "remotectl queue create gone" in failed(look(berlin, gone), "queue_missing")
    said = failed(look(berlin, wanted=("berlni",)), "queue_not_given")
    assert "berlni" in said and "its queues on the server are: berlin" in said
    assert look(berlin, wanted=("other",), any_queue=True).status is Status.PASS
    assert "remotectl queue resume night" in failed(look(berlin, night), "queue_paused")


# WebSockets ----------------------------------------------------------------------------------


@contextmanager
def serving(handler: Callable[[ServerConnection], None]) -> Iterator[Endpoint]:
    """A WebSocket that behaves as the handler does."""

    def handle(wire: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            handler(wire)

    with serve(handle, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL]) as server:  # type: ignore[list-item]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Endpoint(f"http://127.0.0.1:{server.socket.getsockname()[1]}", TOKEN)
        server.shutdown()
        thread.join()


def echo(wire: ServerConnection, times: int = 100) -> None:
    for _ in range(times):
        wire.send(wire.recv())


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ECHO_TIME", 60.0)


def test_a_websocket_that_carries_and_outlives_silence() -> None:
    with serving(echo) as endpoint:
        carries, idle = live.websocket(endpoint, None)
        assert carries.status is Status.PASS
        assert (idle.status, idle.code) == (Status.SKIP, "idle_not_asked")
        assert "--idle" in idle.why
        assert live.websocket(endpoint, 0.1)[1].status is Status.PASS


def test_websockets_that_do_not_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    def keeps(wire: ServerConnection) -> None:
        wire.recv()
        wire.recv()

    def closes(wire: ServerConnection) -> None:
        wire.close(1011, "no")

    def changes(wire: ServerConnection) -> None:
        wire.recv()
        wire.send("something else")

    for handler, code in (
        (closes, "websocket_cut"),
        (changes, "websocket_cut"),
        (keeps, "websocket_silent"),
    ):
        if handler is keeps:
            monkeypatch.setattr(live, "ECHO_TIME", 0.1)
        with serving(handler) as endpoint:
            found, idle = live.websocket(endpoint, 0.1)
        failed(found, code)
        assert idle.why == "needs: websocket"


def test_silence_that_is_cut() -> None:
    def cuts(wire: ServerConnection) -> None:
        echo(wire, 2)
        wire.close()

    with serving(cuts) as endpoint:
        carries, idle = live.websocket(endpoint, 30)
    assert carries.status is Status.PASS
    assert "proxy_read_timeout" in failed(idle, "idle_cut")


def test_silence_after_which_nothing_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgets(wire: ServerConnection) -> None:
        echo(wire, 1)
        second = wire.recv()
        # For the echo after the silence: this one has its bound already.
        monkeypatch.setattr(live, "ECHO_TIME", 0.1)
        wire.send(second)
        while True:
            wire.recv()

    with serving(forgets) as endpoint:
        assert "100ms" in failed(live.websocket(endpoint, 0.1)[1], "idle_dead")


@pytest.mark.parametrize(
    "answer",
    [http(426), http(200, b"<html>"), b"", b"SSH-2.0-x\r\n\r\n"],
    ids=["426", "page", "nothing", "ssh"],
)
def test_middleboxes_that_know_no_websocket(answer: bytes) -> None:
    with Scripted(answer) as place:
        found, idle = live.websocket(Endpoint(f"http://127.0.0.1:{place.port}", TOKEN), None)
    assert "Upgrade and Connection" in failed(found, "upgrade_blocked")
    assert TOKEN not in str(found) and idle.status is Status.SKIP


def test_a_proxy_that_removes_the_headers() -> None:
    with serving(echo) as endpoint, OldProxy(endpoint.address) as proxy:
        found, _ = live.websocket(Endpoint(proxy.url, TOKEN), None)
    failed(found, "upgrade_blocked")


def test_a_server_without_room_for_a_probe() -> None:
    answer = problem(503, "overloaded", "2 probes are open")
    with Scripted(http(503, answer.body)) as place:
        found, _ = live.websocket(Endpoint(f"http://127.0.0.1:{place.port}", TOKEN), None)
    assert "2 probes" in failed(found, "websocket_refused")
