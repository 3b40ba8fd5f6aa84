"""Sentences about a server that cannot be reached, and how often they are said."""

from __future__ import annotations

import pytest

from remote_agent.connection.endpoint import Endpoint
from tests.support.fake_server import TOKEN


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    """No settings of the developer reach a test."""
    for scheme in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme}_proxy".upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://h:1", "ws://h:1/api/v1/agent/session"),
        ("https://h/jobs/", "wss://h/jobs/api/v1/agent/session"),
    ],
)
def test_the_address_of_the_session(url, wanted):
    assert Endpoint(url, TOKEN).session_url == wanted


def test_the_place_hides_credentials():
    assert Endpoint("https://me:secret@host:8443/x", TOKEN).place == "host:8443"
    assert Endpoint("https://host/x", TOKEN).place == "host"


def test_the_environments_proxy_is_taken_unless_one_is_named(monkeypatch):
    url = "https://host:8443"
    assert Endpoint(url, TOKEN).via is None
    monkeypatch.setenv("https_proxy", "me:hunter2@proxy:3128")
    assert Endpoint(url, TOKEN).via == "http://me:hunter2@proxy:3128"
    assert Endpoint("http://host:80", TOKEN).via is None
    monkeypatch.setenv("no_proxy", "other,host")
    assert Endpoint(url, TOKEN).via is None
    assert Endpoint(url, TOKEN, proxy="http://named:1").via == "http://named:1"
