"""What configuration values look like, and what is said of those that do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_agent.values import (
    UserRange,
    check_cgroup,
    expand_path,
    parse_capacity,
    parse_labels,
    parse_umask,
    parse_user_range,
    server_url,
    split_list,
)


def test_paths_and_lists() -> None:
    assert expand_path("~/x") == Path.home() / "x" and expand_path("") == ""
    assert split_list("a, b,c") == ["a", "b", "c"] and split_list(["a"]) == ["a"]


def test_labels_and_capacities() -> None:
    assert parse_labels("a=1,b=x=y") == {"a": "1", "b": "x=y"}
    for given in ("gpu", ["a=1", "gpu"]):
        with pytest.raises(ValueError, match=r"^'gpu' is not KEY=VALUE"):
            parse_labels(given)
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
    ("url", "words"),
    [
        ("jobs.example.com", "no scheme"),
        ("ftp://h", "http or https"),
        ("wss://h", "https://h"),
        ("http://", "host and a port"),
        ("http://h:99999", "host and a port"),
        ("http://h/api/v1", "leave /api/v1 out"),
        ("http://u:p@h", "a user or a password"),
        ("http://h?x=1", "only scheme"),
    ],
)
def test_each_mistake_in_a_url_has_its_words(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        server_url(url)


def test_a_good_url_loses_its_trailing_slash() -> None:
    assert server_url(" https://h:8750/ ") == "https://h:8750"
    assert server_url("http://h/prefix/") == "http://h/prefix"
