"""Enrolment against a real HTTP server that plays every answer."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trustme

from remote_agent.connection.endpoint import Endpoint
from remote_agent.connection.enrolment import (
    check_token,
    find_server,
    register,
    unregister,
)
from remote_agent.errors import AgentError, ConfigError, ServerRefused, TokenRefused, Unreachable
from remote_protocol.api.registration import Registration
from tests.support.fake_http import VERSION, Answer, Asked, FakeHttp, answer_json, problem

REGISTERED = {
    "name": "web-7",
    "token": "rat_new",
    "assignment": {"queues": ["default"], "capacity": {"default": 4}},
    "changed": True,
}
OURS = json.dumps(VERSION).encode()
WHO = Registration(name="web-7", fingerprint="f")


def server(answer: Answer) -> FakeHttp:
    def route(asked: Asked) -> Answer:
        return answer_json(VERSION) if asked.path == "/api/v1/version" else answer

    return FakeHttp(route)


def test_registering_sends_the_token_and_gives_the_answer() -> None:
    with server(answer_json(REGISTERED, 201)) as fake:
        answer = register(Endpoint(fake.url), "rrt_secret", WHO)
    assert answer.token == "rat_new"
    asked = fake.asked[-1]
    assert (asked.method, asked.path) == ("POST", "/api/v1/agent/register")
    assert asked.headers["Authorization"] == "Bearer rrt_secret"
    assert asked.json()["name"] == "web-7"
    assert "Authorization" not in fake.asked[0].headers


@pytest.mark.parametrize(
    ("code", "kind", "cure"),
    [
        ("expired_token", TokenRefused, "registration-token create"),
        ("used_token", TokenRefused, "registration-token create"),
        ("invalid_token", TokenRefused, "copied whole"),
        ("wrong_token_kind", TokenRefused, "said so"),
        ("name_taken", ServerRefused, "--replace"),
        ("unknown_queue", ServerRefused, "remotectl queue create"),
    ],
)
def test_a_refusal_names_cause_and_cure(code: str, kind: type[AgentError], cure: str) -> None:
    with (
        server(problem(403, code, "the server said so")) as fake,
        pytest.raises(kind) as caught,
    ):
        register(Endpoint(fake.url), "rrt_secret", WHO)
    assert "said so" in str(caught.value) and cure in str(caught.value)
    assert "rrt_secret" not in str(caught.value)


def test_something_else_at_the_url_is_named() -> None:
    with (
        FakeHttp(lambda asked: Answer(200, b"<html>welcome</html>")) as fake,
        pytest.raises(AgentError, match="no remote-server"),
    ):
        find_server(Endpoint(fake.url))


def test_nobody_at_the_url_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AgentError, match="check that the server runs"):
            find_server(Endpoint(url))


def test_a_proxy_that_wants_a_password_is_said() -> None:
    with (
        FakeHttp(lambda asked: Answer(407)) as proxy,
        pytest.raises(AgentError, match="wants a user name and a password"),
    ):
        find_server(Endpoint("http://server.invalid:80", proxy=proxy.url))


def test_an_explicit_proxy_carries_the_request() -> None:
    with FakeHttp(lambda asked: answer_json(VERSION)) as proxy:
        assert find_server(Endpoint("http://server.invalid:80", proxy=proxy.url)).version == "0.1.0"
    assert proxy.asked[0].path == "http://server.invalid:80/api/v1/version"


def test_unregistering_an_unknown_agent_is_no_error() -> None:
    with server(problem(401, "invalid_token", "unknown")) as fake:
        unregister(Endpoint(fake.url), "rat_x")
    with server(Answer(204)) as fake:
        unregister(Endpoint(fake.url), "rat_x")
    with server(problem(503, "store_unavailable", "later")) as fake, pytest.raises(ServerRefused):
        unregister(Endpoint(fake.url), "rat_x")


def test_only_tokens_that_can_register_pass() -> None:
    assert check_token(" rrt_x\n") == "rrt_x"
    assert check_token("rat_x") == "rat_x"
    with pytest.raises(ConfigError, match="API token"):
        check_token("rpt_x")
    with pytest.raises(ConfigError, match="no token of ours"):
        check_token("secret")


def test_exit_codes_say_whether_other_settings_help() -> None:
    for code, exit_code in (
        ("name_taken", 2),
        ("unknown_queue", 2),
        ("forbidden", 2),
        ("store_unavailable", 1),
    ):
        with server(problem(409, code, "no")) as fake, pytest.raises(ServerRefused) as caught:
            register(Endpoint(fake.url), "rrt_secret", WHO)
        assert (caught.value.code, caught.value.exit_code) == (code, exit_code)


def test_every_fault_of_a_validation_is_shown() -> None:
    answer = answer_json(
        {
            "title": "Unprocessable",
            "status": 422,
            "code": "validation",
            "detail": "the body is wrong",
            "errors": [
                {"field": "settings.labels", "message": "too many"},
                {"field": "name", "message": "too long"},
            ],
        },
        422,
    )
    with server(answer) as fake, pytest.raises(ServerRefused) as caught:
        register(Endpoint(fake.url), "rrt_secret", WHO)
    assert "settings.labels: too many" in str(caught.value)
    assert "name: too long" in str(caught.value)


def test_an_answer_that_is_no_problem_document() -> None:
    with (
        server(Answer(502, b"<html>bad gateway</html>")) as fake,
        pytest.raises(AgentError, match="answered 502 without saying why"),
    ):
        register(Endpoint(fake.url), "rrt_secret", WHO)
    with (
        server(Answer(200, b"{}")) as fake,
        pytest.raises(AgentError, match="an answer that this version does not know"),
    ):
        register(Endpoint(fake.url), "rrt_secret", WHO)


def test_a_wrong_path_is_told_from_a_wrong_server() -> None:
    def route(asked: Asked) -> Answer:
        return answer_json(VERSION) if asked.path == "/api/v1/version" else Answer(404)

    with (
        FakeHttp(route) as fake,
        pytest.raises(ConfigError, match="leave the path /jobs out: the server is at http"),
    ):
        find_server(Endpoint(fake.url + "/jobs"))
    with (
        FakeHttp(lambda asked: Answer(404)) as fake,
        pytest.raises(ConfigError, match="check host, port and the path /jobs"),
    ):
        find_server(Endpoint(fake.url + "/jobs"))


def test_a_server_below_a_path_is_found() -> None:
    def route(asked: Asked) -> Answer:
        return answer_json(VERSION) if asked.path == "/jobs/api/v1/version" else Answer(404)

    with FakeHttp(route) as fake:
        assert find_server(Endpoint(fake.url + "/jobs")).product == "remote-server"


def test_a_redirect_names_the_better_url_and_is_not_followed() -> None:
    with FakeHttp(lambda asked: answer_json(VERSION)) as target:

        def route(asked: Asked) -> Answer:
            return Answer(301, headers={"Location": target.url + asked.path})

        with FakeHttp(route) as fake, pytest.raises(ConfigError) as caught:
            find_server(Endpoint(fake.url))
        assert str(caught.value).endswith(f"; use {target.url}")
        assert target.asked == []


def test_an_unknown_host_is_named() -> None:
    with pytest.raises(Unreachable, match=r"the name no-such-host\.invalid cannot be resolved"):
        find_server(Endpoint("http://no-such-host.invalid:1"))


@contextmanager
def one_shot(answer: bytes, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Something on a port that reads a little, says `answer` and hangs up; gives the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            try:
                peer.settimeout(5)
                if tls is not None:
                    peer = tls.wrap_socket(peer, server_side=True)
                peer.recv(4096)
                peer.sendall(answer)
            except OSError:
                pass
            finally:
                peer.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        # Wakes accept(), which close() alone does not.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def test_something_that_speaks_no_http() -> None:
    with one_shot(b"SSH-2.0-OpenSSH_9.6\r\n") as port, pytest.raises(Unreachable) as caught:
        find_server(Endpoint(f"http://127.0.0.1:{port}"))
    assert "no HTTP answer" in str(caught.value)
    assert "use https://" in str(caught.value)
    with one_shot(b"") as port, pytest.raises(Unreachable, match="no HTTP answer"):
        find_server(Endpoint(f"http://127.0.0.1:{port}"))


def test_https_at_a_port_without_tls() -> None:
    with (
        one_shot(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port,
        pytest.raises(Unreachable, match="speaks no TLS: use http://"),
    ):
        find_server(Endpoint(f"https://127.0.0.1:{port}"))


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(made)
    return made


REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(OURS), OURS)


def test_a_private_authority(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with one_shot(REPLY, context(authority.issue_cert("127.0.0.1"))) as port:
        url = f"https://127.0.0.1:{port}"
        assert (
            find_server(Endpoint(url, ca_file=str(tmp_path / "ca.pem"))).product == "remote-server"
        )
        with pytest.raises(Unreachable, match=r"not trusted.*--ca-file"):
            find_server(Endpoint(url))


def test_a_certificate_for_another_name(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with (
        one_shot(b"", context(authority.issue_cert("other.example"))) as port,
        pytest.raises(Unreachable, match="use the host name that it was made for"),
    ):
        find_server(Endpoint(f"https://127.0.0.1:{port}", ca_file=str(tmp_path / "ca.pem")))


def test_certificate_files_that_are_no_use(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    with pytest.raises(ConfigError, match=r"the CA file .*ca\.pem cannot be used"):
        find_server(Endpoint("https://127.0.0.1:1", ca_file=str(tmp_path / "ca.pem")))
    with pytest.raises(ConfigError, match="No such file"):
        find_server(Endpoint("https://127.0.0.1:1", ca_file=str(tmp_path / "none.pem")))
    with pytest.raises(ConfigError, match="the client certificate"):
        find_server(Endpoint("https://127.0.0.1:1", client_cert=str(tmp_path / "ca.pem")))


def test_the_proxy_gets_user_and_password_and_ignores_no_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with FakeHttp(lambda asked: answer_json(VERSION)) as proxy:
        url = proxy.url.replace("http://", "http://me:p%40ss@")
        find_server(Endpoint("http://server.invalid", proxy=url))
    wanted = "Basic " + b64encode(b"me:p@ss").decode()
    assert {k.lower(): v for k, v in proxy.asked[0].headers.items()}[
        "proxy-authorization"
    ] == wanted


def test_the_environments_proxy_and_its_exceptions(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with FakeHttp(lambda asked: answer_json(VERSION)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        find_server(Endpoint("http://server.invalid"))
        assert proxy.asked
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with FakeHttp(lambda asked: answer_json(VERSION)) as direct:
            find_server(Endpoint(direct.url))
            assert direct.asked[0].path == "/api/v1/version"


def test_a_proxy_of_another_kind_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://me:hunter2@127.0.0.1:1080")
    with pytest.raises(ConfigError, match="kind socks5://") as caught:
        find_server(Endpoint("https://server.invalid"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "says"),
    [(407, "refuses the user name or the password"), (502, "did not connect to")],
)
def test_a_proxy_that_makes_no_tunnel(status: int, says: str) -> None:
    class Proxy(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Tests need no access log."""

    with HTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://me:hunter2@127.0.0.1:{proxy.server_address[1]}"
        try:
            with pytest.raises(Unreachable, match=says) as caught:
                find_server(Endpoint("https://server.invalid", proxy=url))
        finally:
            proxy.shutdown()
            thread.join()
    assert "hunter2" not in str(caught.value)


def test_an_endpoint_shows_no_password() -> None:
    shown = repr(Endpoint("http://h", "rat_secret", proxy="http://me:hunter2@h"))
    assert "hunter2" not in shown and "rat_secret" not in shown


def test_a_cure_that_the_server_names_is_not_said_twice() -> None:
    detail = "the name is held by another host (db); choose another --name"
    with server(problem(409, "name_taken", detail)) as fake, pytest.raises(ServerRefused) as caught:
        register(Endpoint(fake.url), "rrt_secret", WHO)
    assert str(caught.value) == detail
