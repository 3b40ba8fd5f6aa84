"""Where server and token come from, and what is wrong with a bad URL."""

from __future__ import annotations

import stat
from pathlib import Path

import platformdirs
import pytest

from remote_client.config import (
    Access,
    check_token,
    check_url,
    find_access,
    forget_login,
    login_file,
    save_login,
)
from remote_client.errors import UsageError

TOKEN = "rpt_" + "a" * 43


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("127.0.0.1:8750", "no scheme"),
        ("jobs.example.com", "no scheme"),
        ("ftp://host", "scheme 'ftp'"),
        ("http://", "no host"),
        ("http://host:99999", "port"),
        ("http://host:port", "port"),
        ("http://host:0", "port"),
        ("http://[::1", "not a URL"),
        ("http://two words", "spaces"),
        ("http://host/api/v1", "leave /api/v1 out"),
        ("http://host/?x=1", "only scheme"),
        ("http://user:secret@host", "only scheme"),
    ],
)
def test_a_bad_url_is_named_exactly(url: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check_url(url)


def test_slashes_at_the_end_do_not_matter() -> None:
    assert check_url(" http://host:8750// ") == "http://host:8750"
    assert check_url("https://host/prefix/") == "https://host/prefix"


@pytest.mark.parametrize("kind", ["rrt_", "rat_", "rjt_"])
def test_another_kind_of_token_is_refused_by_name(kind: str) -> None:
    with pytest.raises(UsageError, match=rf"{kind}.*needs an API token \(rpt_"):
        check_token(kind + "x" * 43)


def test_a_token_is_one_word() -> None:
    assert check_token(f" {TOKEN}\n") == TOKEN
    for bad in ("", "two words", "line\nline"):
        with pytest.raises(UsageError, match="empty or contains"):
            check_token(bad)


def test_nothing_given_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="REMOTE_URL"):
        find_access(None, None, None)
    with pytest.raises(UsageError, match=r"REMOTE_TOKEN.*admin-token"):
        find_access("http://host", None, None)


def test_the_file_lies_where_platformdirs_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("/somewhere", "", None):
        if value is None:
            monkeypatch.delenv("XDG_CONFIG_HOME")
        else:
            monkeypatch.setenv("XDG_CONFIG_HOME", value)
        assert login_file().parent == Path(platformdirs.user_config_dir("remotectl"))


def test_a_login_is_private_and_found_again() -> None:
    access = Access("http://host", TOKEN, None)
    path = save_login(access)
    assert path == login_file()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert find_access(None, None, None) == access
    assert find_access("http://host/", None, None).token == TOKEN
    assert forget_login() and not forget_login()


def test_the_token_of_one_server_is_not_sent_to_another() -> None:
    save_login(Access("http://host", TOKEN, None))
    with pytest.raises(UsageError, match="No token"):
        find_access("http://other", None, None)


def test_a_damaged_login_is_named() -> None:
    save_login(Access("http://host", TOKEN, None)).write_text("{")
    with pytest.raises(UsageError, match="login again"):
        find_access(None, None, None)


def test_a_login_that_holds_something_else_is_named() -> None:
    save_login(Access("http://host", TOKEN, None)).write_text("[]")
    with pytest.raises(UsageError, match="login again"):
        find_access(None, None, None)


def test_the_ca_of_one_server_is_not_used_for_another() -> None:
    save_login(Access("https://host", TOKEN, "/ca.pem"))
    assert find_access("https://host", None, None).ca_file == "/ca.pem"
    assert find_access("https://host", None, "/mine.pem").ca_file == "/mine.pem"
    assert find_access("https://other", TOKEN, None).ca_file is None


def test_a_left_over_file_does_not_open_the_login_to_others() -> None:
    left = login_file().with_suffix(".tmp")
    left.parent.mkdir(parents=True)
    left.write_text("")
    left.chmod(0o644)
    path = save_login(Access("http://host", TOKEN, None))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
