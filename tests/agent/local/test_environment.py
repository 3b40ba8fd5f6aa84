"""What of an environment is compared, without its secrets."""

from __future__ import annotations

from remote_agent.local.environment import decides_connection, notable


def test_what_matters_and_what_is_secret() -> None:
    found = notable(
        {
            "https_proxy": "http://me:secret@p:1",
            "REMOTE_AGENT_SERVER": "https://h",
            "REMOTE_AGENT_LOGS_SEGMENTS": "5",
            "REMOTE_AGENT_TOKEN": "rrt_secret",
            "PATH": "/bin",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }
    )
    assert list(found) == [
        "PATH", "REMOTE_AGENT_LOGS_SEGMENTS", "REMOTE_AGENT_SERVER", "https_proxy"
    ]  # fmt: skip
    assert "secret" not in str(found)
    assert found["https_proxy"] != notable({"https_proxy": "http://me:other@p:1"})["https_proxy"]


def test_what_decides_how_the_server_is_reached() -> None:
    for name in ("https_proxy", "NO_PROXY", "SSL_CERT_DIR", "REMOTE_AGENT_SERVER_CA_FILE",
                 "REMOTE_AGENT_URL", "REMOTE_INSECURE"):  # fmt: skip
        assert decides_connection(name), name
    for name in ("PATH", "REMOTE_AGENT_CAPACITY", "TZ"):
        assert not decides_connection(name), name
