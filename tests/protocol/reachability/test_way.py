"""Name, proxy, connection and TLS: each fault gets its code, and no secret gets out."""

from __future__ import annotations

import pytest

from remote_protocol.reachability import way
from remote_protocol.reachability.exchange import ProxyAnswered
from remote_protocol.reachability.target import Target
from remote_protocol.report import Status
from tests.support.fake_network import FakeNetwork

PROXY = "http://me:p%40ss@proxy:3128"


def stopped(found: object) -> tuple[str, str]:
    """Check and code of the failure that ends the checks."""
    with pytest.raises(way.Stop) as caught:
        list(found) if not callable(found) else found()  # type: ignore[call-overload]
    one = caught.value.finding
    assert one.status is Status.FAIL and "p%40ss" not in str(one)
    return one.check, one.code


def test_names() -> None:
    many = FakeNetwork(resolve=[f"192.0.2.{number}" for number in range(9)])
    assert way.name(Target("http://h"), many).finding.count("192.0.2.") == 4
    assert "of the proxy" in way.name(Target("http://h", PROXY), FakeNetwork()).finding
    for error in (OSError("unknown"), UnicodeError("label too long")):
        network = FakeNetwork(resolve=error)
        assert stopped(lambda: way.name(Target("http://h"), network)) == ("name", "name_unknown")  # noqa: B023
    socks = Target("http://h", "socks5://me:p%40ss@proxy:1080", "ALL_PROXY")
    assert stopped(lambda: way.name(socks, FakeNetwork())) == ("proxy", "proxy_unusable")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConnectionRefusedError(111, "refused"), "connection_refused"),
        (TimeoutError("timed out"), "connection_timed_out"),
        (OSError(113, "No route to host"), "connection_failed"),
    ],
)
def test_connections(error: OSError, code: str) -> None:
    direct = way.connection(Target("http://h"), FakeNetwork(connect=error))
    assert next(direct).status is Status.PASS
    assert stopped(direct) == ("connection", code)
    through = way.connection(Target("http://h", PROXY), FakeNetwork(connect=error))
    assert stopped(through) == ("proxy", "proxy_unreachable")


def test_why_there_is_no_proxy_is_said() -> None:
    target = Target("http://h", None, "NO_PROXY excepts the server's host")
    assert "NO_PROXY" in next(way.connection(target, FakeNetwork())).finding


@pytest.mark.parametrize(
    ("status", "proxy", "code"),
    [
        (407, PROXY, "proxy_wrong_password"),
        (407, "http://proxy:3128", "proxy_needs_password"),
        (0, PROXY, "proxy_speaks_no_http"),
        (504, PROXY, "proxy_cannot_reach_server"),
        (403, PROXY, "proxy_refuses"),
    ],
)
def test_what_a_proxy_answers(status: int, proxy: str, code: str) -> None:
    found = way.proxy_refusal(Target("https://h", proxy, "HTTPS_PROXY"), ProxyAnswered(status, ""))
    assert found.code == code and "HTTPS_PROXY" in f"{found.finding} {found.cure}"
    assert "p%40ss" not in str(found)


def test_certificates() -> None:
    day = 86400.0
    assert way.tls(Target("http://h"), FakeNetwork()).code == "not_encrypted"
    secure = Target("https://h")
    assert way.tls(secure, FakeNetwork(secure=20 * day)).status is Status.PASS
    for left in (13 * day, -day):
        assert way.tls(secure, FakeNetwork(secure=left)).code == "certificate_expires_soon"

    class SSLError(OSError):
        """As in `ssl`, which pure code does not load."""

    class SSLCertVerificationError(SSLError):
        verify_code = 62

    for error, code in (
        (SSLCertVerificationError(), "certificate_of_another_name"),
        (SSLError("[SSL: WRONG_VERSION_NUMBER] wrong version number"), "port_speaks_no_tls"),
        (SSLError("[X509] PEM lib"), "ca_file_unusable"),
        (FileNotFoundError(2, "No such file"), "ca_file_unusable"),
        (ConnectionResetError(104, "reset"), "tls_failed"),
    ):
        network = FakeNetwork(secure=error)
        assert stopped(lambda: way.tls(secure, network)) == ("tls", code)  # noqa: B023
