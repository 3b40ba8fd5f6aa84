"""What is relayed: targets that mean one thing, headers that concern the other side."""

from __future__ import annotations

import pytest

from remote_protocol.relay import (
    MAX_TARGET,
    TargetRefused,
    check_target,
    is_below,
    passed_on,
    unwrapped,
    wrapped,
)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/items/", "/items/"),
        ("/items/a?b=c/../d&e=%2F", "/items/a"),
        ("/xcoms/dag/manual__2026-01-01T00:00:00+00:00/t/return_value", None),
        ("/a%20b/%C3%A4/c%25d", None),
        ("/...", None),
        ("/a.b/..c", None),
    ],
)
def test_what_means_one_thing_goes(target: str, path: str | None) -> None:
    assert check_target(target) == (path or target)


@pytest.mark.parametrize(
    "target",
    [
        *("", "a", "http://a/b", "*", "/a b", "/a#b", "/ä", "/a\\b", "/a\r\nb", "/a\x00"),
        *("//a", "/a//b", "/a//", "/.", "/..", "/a/../b", "/a/./b", "/../a"),
        *("/%2e%2e/a", "/%2E%2e", "/.%2e/a", "/a%2fb", "/a%2F..%2Fb", "/a%5cb", "/%00", "/a%0a"),
        *(
            "/%252e%252e/a",
            "/a%252fb",
            "/a%255cb",
            "/..;/a",
            "/..;a=b/c",
            "/%2e%2e%3b/a",
            "/%20../a",
        ),
        *("/%", "/%2", "/%zz", "/a?%", "/" + "a" * MAX_TARGET),
    ],
)
def test_what_could_lead_elsewhere_is_refused_in_words(target: str) -> None:
    with pytest.raises(TargetRefused) as caught:
        check_target(target)
    assert str(caught.value).startswith(("the target", "the path"))


def test_a_prefix_ends_at_a_slash() -> None:
    assert is_below("/items/a", "/items/") and is_below("/items", "/items/")
    assert not is_below("/items-of-others/a", "/items/") and not is_below("/", "/items/")
    assert is_below("/anything", "/")


def test_headers_of_one_hop_and_cookies_stay_behind() -> None:
    given = [
        ("Host", "a"),
        ("Connection", "close, X-Mine"),
        ("X-Mine", "for one hop"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Length", "5"),
        ("Cookie", "a=b"),
        ("Set-Cookie", "a=b"),
        ("X-Forwarded-For", "1.2.3.4"),
        ("Forwarded", "for=1.2.3.4"),
        ("Relayed-Status", "200"),
        ("Upgrade", "websocket"),
        ("X-Original-URL", "/admin"),
        ("X-Rewrite-URL", "/admin"),
        ("X_Forwarded_For", "1.2.3.4"),
        ("Content_Length", "5"),
        ("Relayed_Target", "/x"),
        ("Method", "DELETE"),
        ("Target", "/x"),
        ("Status", "200 OK"),
        ("Proxy-Authorization", "Basic x"),
        ("Authorization", "Bearer its-own"),
        ("airflow-api-version", "2026-01-01"),
    ]
    kept = [("Authorization", "Bearer its-own"), ("airflow-api-version", "2026-01-01")]
    assert passed_on(given) == kept
    assert wrapped(given) == [(f"Relayed-{name}", value) for name, value in kept]


def test_what_was_wrapped_comes_out_again_and_nothing_else() -> None:
    sent = [
        ("Authorization", "Bearer of-the-agent"),
        ("Relayed-Method", "GET"),
        ("relayed-authorization", "Bearer its-own"),
        ("Relayed-Host", "elsewhere"),
        ("Relayed-Cookie", "a=b"),
        ("Relayed-Relayed-Target", "/x"),
        ("Relayed-", "empty"),
        ("Relayed-X: y", "no name"),
        ("Content-Type", "application/octet-stream"),
    ]
    assert unwrapped(sent) == [("authorization", "Bearer its-own")]
