"""The checks of `remotectl doctor`: logins, token, queues, streams."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from remote_client import doctor
from remote_client.config import Access, Contexts, config_file, find_access, write_contexts
from remote_client.doctor import examine, queues, stream, token
from remote_client.errors import UsageError
from remote_protocol.reachability.ports import Answer
from remote_protocol.report import Finding, Status
from tests.support.fake_api import ID, NOW, TOKEN
from tests.support.fake_http import VERSION
from tests.support.scripted import Scripted, http


def failed(finding: Finding, code: str) -> str:
    assert (finding.status, finding.code) == (Status.FAIL, code), finding
    assert finding.finding and finding.cure
    return f"{finding.finding} {finding.why} {finding.cure}"


def look(url: str | None, text: str | None = TOKEN, **more: Any) -> dict[str, Finding]:
    """All findings for what flags say; nothing repeats the token."""
    found = examine(lambda: find_access(url, text, **more), lambda: text)
    assert [one.check for one in found] == [check.name for check in (*doctor.STATIC, *doctor.LIVE)]
    assert text is None or text not in str(found)
    return {one.check: one for one in found}


def problem(status: int, code: str, detail: str) -> Answer:
    body = {"title": code, "status": status, "code": code, "detail": detail}
    return Answer(status, {}, json.dumps(body).encode())


def test_nothing_to_go_by() -> None:
    found = look(None, None)
    assert "remotectl login" in failed(found["login"], "not_logged_in")
    assert found["contexts"].status is Status.PASS
    assert {found[check.name].why for check in doctor.LIVE} == {"needs: login"}


def test_logins_that_are_damaged_or_open_to_others() -> None:
    write_contexts(Contexts("dev", {"dev": {"url": "http://h", "token": TOKEN}}))
    assert "dev" in doctor.contexts().finding
    os.chmod(config_file(), 0o644)
    assert "chmod 600" in failed(doctor.contexts(), "contexts_open_to_others")
    Path(config_file()).write_text("{")
    failed(look(None, None)["contexts"], "contexts_damaged")


@pytest.mark.parametrize(
    ("url", "text", "code", "words"),
    [
        ("h:1", TOKEN, "login_unusable", "did you mean https://h:1"),
        ("http://127.0.0.1:1/api/v1", TOKEN, "login_unusable", "leave /api/v1 out"),
        ("http://jobs.invalid", TOKEN, "unencrypted_server", "--insecure"),
        ("https://h", "rat_" + "s" * 43, "token_of_wrong_kind", "agent token"),
        ("https://h", "rrt_" + "s" * 43, "token_of_wrong_kind", "registration token"),
        ("https://h", "a b", "login_unusable", "contains spaces"),
    ],
)
def test_logins_that_cannot_be_used(url: str, text: str, code: str, words: str) -> None:
    assert words in failed(look(url, text)["login"], code)


def test_a_token_file_that_is_missing() -> None:
    def unreadable() -> Access:
        raise UsageError("The token file x cannot be read: No such file")

    def text() -> str:
        raise UsageError("The token file x cannot be read: No such file")

    failed(examine(unreadable, text)[1], "login_unusable")


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found = look(f"http://127.0.0.1:{probe.getsockname()[1]}")
    failed(found["connection"], "connection_refused")
    assert found["stream"].why == "needs: connection"
    assert "this very host" in found["proxy"].finding


def test_another_program_and_a_ca_file_that_is_missing(tmp_path: Path) -> None:
    with Scripted(http(404)) as place:
        found = look(f"http://127.0.0.1:{place.port}")
    assert "--url or REMOTE_URL" in failed(found["server"], "not_a_remote_server")
    with Scripted(b"") as place:
        found = look(f"https://127.0.0.1:{place.port}", ca_file=str(tmp_path / "none.pem"))
    assert "--ca-file or REMOTE_CA_FILE" in failed(found["tls"], "ca_file_unusable")


def test_an_older_agent_protocol_is_no_fault_here() -> None:
    with Scripted(http(200, json.dumps({**VERSION, "protocol": 99}).encode())) as place:
        assert look(f"http://127.0.0.1:{place.port}")["version"].status is Status.PASS
    with Scripted(http(200, json.dumps({**VERSION, "api": "v9"}).encode())) as place:
        found = look(f"http://127.0.0.1:{place.port}")
    failed(found["version"], "version_incompatible")


def test_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://jobs.invalid"
    monkeypatch.setenv("HTTPS_PROXY", "http://:99999999")
    assert "HTTPS_PROXY" in failed(look(url)["proxy"], "proxy_unusable")
    monkeypatch.setenv("HTTPS_PROXY", "https://me:secret@proxy.invalid:3128")
    found = look(url)
    assert (found["proxy"].status, found["proxy"].code) == (Status.SKIP, "proxy_not_tried")
    assert found["server"].why == "needs: proxy" and "secret" not in str(found)
    with Scripted(http(407)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert "HTTPS_PROXY" in failed(look(url)["proxy"], "proxy_needs_password")


# What the server says ------------------------------------------------------------------------


def test_tokens() -> None:
    me = {"id": ID, "kind": "api", "name": "anna", "role": "operator", "created_at": NOW}
    good = token(Answer(200, {}, json.dumps(me).encode()))
    assert good.finding == "good: anna, role operator"
    for answer, code in (
        (problem(401, "expired_token", "at noon"), "token_expired"),
        (problem(401, "invalid_token", "revoked"), "token_unknown"),
        (problem(403, "wrong_token_kind", "an agent token"), "token_of_wrong_kind"),
        (problem(503, "store_unavailable", "away"), "token_refused"),
        (Answer(200, {}, b"<html>"), "token_refused"),
        (ConnectionResetError(104, "reset"), "token_refused"),
    ):
        failed(token(answer), code)


def test_queues() -> None:
    def told(**fields: Any) -> Finding:
        queue = {"name": "berlin", "queued": 1, "healthy": True, "created_at": NOW, **fields}
        return queues(Answer(200, {}, json.dumps({"items": [queue]}).encode()))

    assert told().status is Status.PASS
    assert "remotectl queue show berlin" in failed(told(healthy=False), "queue_not_served")
    assert "remotectl queue resume berlin" in failed(told(paused=True), "queue_paused")
    assert told(healthy=False, paused=True, queued=0).status is Status.PASS
    failed(queues(problem(403, "forbidden", "no")), "queues_unknown")
    failed(queues(TimeoutError("timed out")), "queues_unknown")


def test_streams() -> None:
    assert stream(Answer(200, {}, b": events\n\n")).status is Status.PASS
    assert "proxy_buffering off" in failed(stream(TimeoutError("timed out")), "stream_buffered")
    failed(stream(Answer(200, {}, b"<html>")), "stream_buffered")
    assert "too many" in failed(
        stream(problem(429, "too_many_requests", "too many")), "stream_refused"
    )
