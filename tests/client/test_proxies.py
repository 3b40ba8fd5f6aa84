"""The proxies of the environment: which one is used, and the client through a real one."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from remote_client.client import Client
from remote_client.errors import NotOurs, Unreachable, UsageError
from remote_client.proxies import find_proxy
from tests.support.connect_proxy import ConnectProxy
from tests.support.fake_api import ID, TOKEN, FakeApi, cri_log, job_view
from tests.support.ports import free_port

NAME = "jobs.example.test"


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[FakeApi]:
    """A server with a certificate of a private CA for a name that only a proxy can reach."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(context)
    with FakeApi(tls=context) as server:
        server.on("GET", f"/jobs/{ID}", job_view())
        yield server


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.mark.parametrize(
    ("environment", "url", "wanted"),
    [
        ({}, "https://host", None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "https://host", "http://proxy:3128"),
        ({"https_proxy": "proxy:3128"}, "https://host", "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://host", None),
        ({"HTTP_PROXY": "http://proxy:3128"}, "http://host", "http://proxy:3128"),
        ({"ALL_PROXY": "http://proxy:3128"}, "https://host", "http://proxy:3128"),
        ({"ALL_PROXY": "http://a:1", "HTTPS_PROXY": "http://b:2"}, "https://host", "http://b:2"),
        ({"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "host"}, "https://host:8750", None),
        ({"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "x, .corp"}, "https://a.corp", None),
        ({"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "*"}, "https://host", None),
        ({"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "orp"}, "https://a.corp", "http://proxy:1"),
        ({"ALL_PROXY": "http://proxy:1"}, "http://127.0.0.1:8750", None),
        ({"ALL_PROXY": "http://proxy:1"}, "http://127.1.2.3:8750", None),
        ({"ALL_PROXY": "http://proxy:1"}, "http://[::1]:8750", None),
        ({"ALL_PROXY": "http://proxy:1"}, "http://localhost:8750", None),
    ],
)
def test_which_proxy(
    environment: dict[str, str],
    url: str,
    wanted: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = find_proxy(url)
    assert (found and found.url) == wanted


def test_a_tunnel_with_a_password_and_a_private_ca(
    secure: FakeApi, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure.on("GET", f"/jobs/{ID}/log", cri_log(("stdout", b"through\n")))
    with ConnectProxy(secure.place, password="me:p@ss") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@{proxy.place}")
        with Client(f"https://{NAME}", TOKEN, ca_file=ca_file) as client:
            assert client.job(ID).id == ID
            assert client.log(ID)
            with client.again() as other:
                assert other.job(ID).id == ID
    assert set(proxy.asked) == {f"CONNECT {NAME}:443 HTTP/1.1"}


def test_a_tunnel_does_not_soften_certificates(
    secure: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ConnectProxy(secure.place) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        with (
            Client(f"https://{NAME}", TOKEN) as client,
            pytest.raises(Unreachable, match="--ca-file"),
        ):
            client.job(ID)
    assert secure.calls == []


def test_plain_http_goes_through_its_proxy(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api.on("GET", f"/jobs/{ID}", job_view())
    with ConnectProxy(api.place) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        with Client(f"http://{NAME}:8750", TOKEN) as client:
            assert client.job(ID).id == ID
    assert proxy.asked == [f"GET http://{NAME}:8750/api/v1/jobs/{ID} HTTP/1.1"]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("login", "says"),
    [
        ("", r"wants a user name and a password \(HTTP 407\); put .* its URL \({}\)"),
        ("me:hunter2@", r"refuses the user name or the password \(HTTP 407\); correct them in {}"),
    ],
)
def test_a_wrong_password_is_said_without_showing_it(
    scheme: str, login: str, says: str, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = f"{scheme.upper()}_PROXY"
    with ConnectProxy(api.place, password="me:right") as proxy:
        monkeypatch.setenv(variable, f"http://{login}{proxy.place}")
        with Client(f"{scheme}://{NAME}", TOKEN) as client:
            with pytest.raises(NotOurs, match=says.format(variable)) as caught:
                client.job(ID)
            with pytest.raises(NotOurs, match=says.format(variable)):
                list(client.stored_log(ID, follow=True))
    assert proxy.place in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert len(proxy.asked) == 2
    assert api.calls == []


def test_a_proxy_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:hunter2@127.0.0.1:{free_port()}")
    with (
        Client(f"https://{NAME}", TOKEN) as client,
        pytest.raises(Unreachable, match=r"through the proxy http://127.*HTTPS_PROXY") as caught,
    ):
        client.job(ID)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", ["ftp://proxy:1", "http://proxy:port", "http://", "socks5://p:1"])
def test_an_unusable_proxy_is_a_sentence(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(UsageError, match="HTTPS_PROXY"):
        Client(f"https://{NAME}", TOKEN)
