"""What configuration values look like, and what is said of those that do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_agent.values import (
    UserRange,
    check_cgroup,
    expand_path,
    loopback_address,
    otlp_url,
    package_index,
    parse_capacity,
    parse_environments,
    parse_labels,
    parse_umask,
    parse_user_range,
    split_list,
    statsd_address,
)


def test_paths_and_lists() -> None:
    assert expand_path("~/x") == Path.home() / "x" and expand_path("") == ""
    assert split_list("a, b,c") == ["a", "b", "c"] and split_list(["a"]) == ["a"]


def test_an_index_of_packages_holds_no_password() -> None:
    assert package_index("https://pypi.example.com/simple/") == "https://pypi.example.com/simple/"
    for given, words in (
        ("pypi.example.com", "must begin with"),
        ("file:///wheels", "must begin with"),
        ("https://", "must begin with"),
        ("https://user:geheim@pypi.example.com/", "a netrc file"),
        ("https://pypi.example.com/a b", "spaces"),
    ):
        with pytest.raises(ValueError, match=words) as told:
            package_index(given)
        assert "geheim" not in str(told.value)


def test_labels_and_capacities() -> None:
    assert parse_labels("a=1,b=x=y") == {"a": "1", "b": "x=y"}
    for given in ("gpu", ["a=1", "gpu"]):
        with pytest.raises(ValueError, match=r"^'gpu' is not KEY=VALUE"):
            parse_labels(given)
    assert parse_environments("a=/opt/a, b=/b") == {"a": "/opt/a", "b": "/b"}
    assert parse_environments({"a": "/opt/a"}) == {"a": "/opt/a"}
    with pytest.raises(ValueError, match=r"^'/opt/a' is not NAME=PATH"):
        parse_environments("/opt/a")
    assert parse_capacity("8") == {"default": 8} == parse_capacity(8)
    assert parse_capacity("default=4, big=1") == {"default": 4, "big": 1}
    with pytest.raises(ValueError, match="neither a number of jobs"):
        parse_capacity("many")


def test_users_and_modes() -> None:
    users = parse_user_range(" 80000 - 80009")
    assert isinstance(users, UserRange) and users == (80000, 80009)
    assert str(users) == "80000-80009" and users.size == 10
    assert parse_user_range(users) is users
    assert parse_umask("0027") == 0o27 == parse_umask(0o27)
    assert check_cgroup("/a") == "/a"
    with pytest.raises(ValueError, match="neither auto"):
        check_cgroup("a")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("127.0.0.1:9087", "127.0.0.1:9087"),
        ("localhost:9087", "127.0.0.1:9087"),
        (":9087", "127.0.0.1:9087"),
        ("9087", "127.0.0.1:9087"),
        ("[::1]:0", "[::1]:0"),
    ],
)
def test_addresses_of_the_loopback_interface(given: str, meant: str) -> None:
    assert loopback_address(given) == meant


@pytest.mark.parametrize(
    "given", ["0.0.0.0:9087", "[::]:9087", "10.0.0.1:9087", "host:9087", "127.0.0.1", "x:70000"]
)
def test_no_port_is_opened_to_others(given: str) -> None:
    with pytest.raises(ValueError, match=r"9087"):
        loopback_address(given)


@pytest.mark.parametrize(
    ("given", "meant"),
    [("127.0.0.1:8125", "127.0.0.1:8125"), ("stats.example:08125", "stats.example:8125"),
     (" [::1]:8125", "[::1]:8125")],
)  # fmt: skip
def test_addresses_of_statsd(given: str, meant: str) -> None:
    assert statsd_address(given) == meant


@pytest.mark.parametrize("given", ["", "8125", ":8125", "host", "host:0", "host:99999", "::1:8125"])
def test_what_is_no_address_of_a_statsd(given: str) -> None:
    with pytest.raises(ValueError, match=r"is not HOST:PORT, for example 127\.0\.0\.1:8125"):
        statsd_address(given)


def test_a_collectors_password_is_refused_and_not_repeated() -> None:
    assert otlp_url("https://collector.example/otlp") == "https://collector.example/otlp"
    with pytest.raises(ValueError, match="a collector on this host") as caught:
        otlp_url("https://me:secret@collector.example")
    assert "secret" not in str(caught.value)
