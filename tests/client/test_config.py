"""Where server and token come from, and what is wrong with a bad URL."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import platformdirs
import pytest

from remote_client import config
from remote_client.config import (
    Access,
    Contexts,
    check_token,
    check_url,
    config_file,
    find_access,
    name_for,
    save_access,
)
from remote_client.errors import UsageError
from remote_protocol.ids import TokenKind

TOKEN = "rpt_" + "a" * 43


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("127.0.0.1:8750", "no scheme"),
        ("jobs.example.com", "no scheme"),
        ("ftp://host", "scheme 'ftp'"),
        ("http://", "does not name a host"),
        ("http://host:99999", "port"),
        ("http://host:port", "port"),
        ("http://host:0", "port"),
        ("http://[::1", "not a URL"),
        ("http://two words", "spaces"),
        ("http://host/api/v1", "leave /api/v1 out"),
        ("http://host/?x=1", "only scheme"),
        ("http://user:secret@host", "a user or a password"),
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
    article = "an agent" if kind == "rat_" else "a "
    with pytest.raises(UsageError, match=rf"This is {article}.*{kind}.*needs an API token \(rpt_"):
        check_token(kind + "x" * 43)


def test_a_token_is_one_word() -> None:
    assert check_token(f" {TOKEN}\n") == TOKEN
    for bad in ("", "two words", "line\nline", "rpt_\xe4", "rpt_a\r\nX: y"):
        with pytest.raises(UsageError, match="empty or contains"):
            check_token(bad)


def test_a_url_that_lacks_a_slash_is_understood() -> None:
    for url in ("http:/127.0.0.1:8750", "http//127.0.0.1:8750", "//127.0.0.1:8750"):
        with pytest.raises(UsageError, match=r"did you mean https://127.0.0.1:8750 or http://127"):
            check_url(url)


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        check_url("http://me:secret@host")
    assert "secret" not in str(caught.value)


def test_nothing_given_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="REMOTE_URL"):
        find_access()
    with pytest.raises(UsageError, match=r"REMOTE_TOKEN.*admin-token"):
        find_access("https://host")


def test_the_prefix_of_api_tokens() -> None:
    assert TokenKind.API.value == config._API_TOKEN


def test_the_file_lies_where_platformdirs_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("/somewhere", "", None):
        if value is None:
            monkeypatch.delenv("XDG_CONFIG_HOME")
        else:
            monkeypatch.setenv("XDG_CONFIG_HOME", value)
        assert config_file() == f"{platformdirs.user_config_dir('remotectl')}/config.json"


def test_a_login_is_private_and_found_again() -> None:
    path = save_access(Access("https://host", TOKEN), "work")
    assert path == config_file()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert find_access() == Access("https://host", TOKEN, context="work")
    assert find_access("https://host/").token == TOKEN


def test_several_servers() -> None:
    save_access(Access("https://a", TOKEN + "a"), "one")
    save_access(Access("https://b", TOKEN + "b", "/ca.pem"), "two")
    assert find_access().url == "https://b"
    assert find_access(context="one").token == TOKEN + "a"
    # A server that is named gets its own token, whichever context is in use.
    assert find_access("https://a").token == TOKEN + "a"
    assert find_access("https://a").context == "one"
    with pytest.raises(UsageError, match="no context 'three'; there are: one, two"):
        find_access(context="three")
    with pytest.raises(UsageError, match="No token"):
        find_access("https://a", context="two")


def test_the_token_of_one_server_is_not_sent_to_another() -> None:
    save_access(Access("https://host", TOKEN), "work")
    with pytest.raises(UsageError, match="No token"):
        find_access("https://other")


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"contexts": []}', '{"contexts": {"a": 1}}', "\udcff"]
)
def test_a_damaged_file_is_named(text: str) -> None:
    path = save_access(Access("https://host", TOKEN), "work")
    Path(path).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match="remove it"):
        find_access()


@pytest.mark.parametrize("folder", [False, True])
def test_who_says_everything_needs_no_file(folder: bool) -> None:
    path = Path(save_access(Access("https://host", TOKEN), "work"))
    path.unlink()
    path.mkdir() if folder else path.write_text("{")
    assert find_access("https://other", TOKEN) == Access("https://other", TOKEN)
    for url, token, context in (
        ("https://host", None, None),
        (None, TOKEN, None),
        ("https://host", TOKEN, "work"),
    ):
        with pytest.raises(UsageError, match="remove it") as caught:
            find_access(url, token, context=context)
        assert "Errno" not in str(caught.value)


def test_odd_values_in_the_file_are_none() -> None:
    path = save_access(Access("https://host", TOKEN), "work")
    Path(path).write_text('{"current": 7, "contexts": {"work": {"url": 5}}}')
    with pytest.raises(UsageError, match="No server"):
        find_access(context="work")


def test_the_ca_of_one_server_is_not_used_for_another() -> None:
    save_access(Access("https://host", TOKEN, "/ca.pem"), "work")
    assert find_access("https://host").ca_file == "/ca.pem"
    assert find_access("https://host", ca_file="/mine.pem").ca_file == "/mine.pem"
    assert find_access("https://other", TOKEN).ca_file is None


def test_a_left_over_file_does_not_open_the_login_to_others() -> None:
    left = Path(f"{config_file()}.{os.getpid()}.tmp")
    left.parent.mkdir(parents=True)
    left.write_text("")
    left.chmod(0o644)
    path = save_access(Access("https://host", TOKEN), "work")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


@pytest.mark.parametrize("url", ["http://host", "http://10.0.0.1:8750", "http://127.example.com"])
def test_a_token_does_not_go_over_plain_http_to_others(url: str) -> None:
    with pytest.raises(UsageError, match=r"plain HTTP.*--insecure or REMOTE_INSECURE=1"):
        find_access(url, TOKEN)
    assert find_access(url, TOKEN, insecure=True).insecure
    save_access(Access(url, TOKEN, insecure=True), "lab")
    assert find_access().url == url


@pytest.mark.parametrize(
    "url",
    [
        "https://host",
        "http://127.0.0.1:1",
        "http://localhost",
        "http://[::1]:8",
        "http://127.9.9.9",
    ],
)
def test_where_a_token_may_go(url: str) -> None:
    assert find_access(url, TOKEN).url == url


def test_names_of_contexts() -> None:
    known = Contexts("a", {"a": {"url": "https://one"}})
    assert name_for("https://one", known) == "a"
    assert name_for("https://jobs.example.com", known) == "jobs.example.com"
    assert name_for("http://[::1]:8750", known) == "1-8750"
    with pytest.raises(UsageError, match="no name of a context"):
        save_access(Access("https://one", TOKEN), "a b")
