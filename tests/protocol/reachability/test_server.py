"""What answers at a URL: ours or not, its clock, its version."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remote_protocol.limits import PROTOCOL_VERSION
from remote_protocol.reachability import server
from remote_protocol.reachability.ports import Answer
from remote_protocol.reachability.target import Target
from remote_protocol.reachability.way import Stop
from remote_protocol.report import Status
from tests.support.fake_network import FakeNetwork

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
AT = 784111777.0


def ours(protocol: int = PROTOCOL_VERSION, **headers: str) -> Answer:
    body = {"product": "remote-server", "version": "1.0", "protocol": protocol, "api": "v1"}
    return Answer(200, headers, json.dumps(body).encode())


def code_of(url: str, *answers: Any, proxy: str | None = None, **steps: Any) -> str:
    with pytest.raises(Stop) as caught:
        server.identify(Target(url, proxy, tunnels=False), FakeNetwork(*answers, **steps))
    return caught.value.finding.code


def test_our_server_and_when_it_answered() -> None:
    answer, at = server.identify(Target("http://h"), FakeNetwork(ours(), now=5.0))
    assert (answer, at) == (ours(), 5.0)
    assert server.version_of(Answer(200, {}, b"{}")) is None
    assert server.version_of(ours()._replace(status=404)) is None


def test_what_is_not() -> None:
    page = Answer(404, {}, b"<html>")
    assert code_of("http://h", page) == "not_a_remote_server"
    assert code_of("http://h/gms", page, page) == "not_a_remote_server"
    assert code_of("http://h/gms", page, OSError("cut")) == "not_a_remote_server"
    assert code_of("http://h/gms", page, ours()) == "wrong_path"
    assert code_of("http://h", Answer(504, {}, b"")) == "server_away"
    assert code_of("http://h", Answer(302, {"location": "/login"}, b"")) == "redirected"
    assert code_of("http://h", Answer(302, {}, b"")) == "redirected"
    assert code_of("http://h", Answer(302, {"location": "http://["}, b"")) == "redirected"
    assert code_of("http://h", OSError("cut")) == "no_http_answer"
    assert code_of("http://h", OSError("cut"), speaks=True) == "port_speaks_tls"
    assert code_of("http://h", Answer(400, {}, b""), speaks=True) == "port_speaks_tls"
    assert code_of("https://h", OSError("cut"), speaks=True) == "no_http_answer"
    proxy = "http://proxy:3128"
    assert code_of("http://h", Answer(407, {}, b""), proxy=proxy) == "proxy_needs_password"


def test_clocks() -> None:
    assert server.parse_date(DATE) == AT
    assert server.parse_date("Sat, 31 Dec 2016 23:59:60 GMT") is not None
    far = "Sun, 06 Nov 99999999999999999999 08:49:37 GMT"
    for text in (
        "",
        "now",
        far,
        DATE.replace("Nov", "Foo"),
        DATE.replace("GMT", "CET"),
        f"{DATE} x",
    ):
        assert server.parse_date(text) is None
    assert server.clock(ours(), AT).code == "no_date"
    assert server.clock(ours(date=DATE), AT + 59).status is Status.PASS
    assert "1m1s ahead of" in server.clock(ours(date=DATE), AT + 61).finding
    assert "1h behind" in server.clock(ours(date=DATE), AT - 3600).finding


def test_versions() -> None:
    agent, person = Target("http://h"), Target("http://h", for_agents=False)
    newer = ours(PROTOCOL_VERSION + 1)
    assert server.version(agent, ours()).status is Status.PASS
    assert server.version(agent, ours(PROTOCOL_VERSION - 1)).cure == "update the server"
    assert server.version(agent, newer).code == "version_incompatible"
    assert server.version(person, newer).status is Status.PASS
    other = newer._replace(body=newer.body.replace(b"v1", b"v9"))
    assert server.version(person, other).code == "version_incompatible"
