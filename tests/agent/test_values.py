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
