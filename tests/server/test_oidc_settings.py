"""`[oidc]` of the configuration: what it takes, and what it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_server.config import Config, ConfigError, load

GOOD = """
[oidc]
issuer = "https://id.example/realms/main"
client_id = "remote-server"
url = "https://jobs.example/x/"
admin_groups = ["ops"]
"""


def loaded(tmp_path: Path, text: str, **environ: str) -> Config:
    file = tmp_path / "server.toml"
    file.write_text(text)
    return load(file, environ)


def faults(tmp_path: Path, text: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text, **environ)
    return str(caught.value)


def test_it_is_off_by_default() -> None:
    assert load(None, {}).oidc.issuer is None


def test_the_way_back_is_below_the_address(tmp_path: Path) -> None:
    assert loaded(tmp_path, GOOD).oidc.redirect_uri == "https://jobs.example/x/oidc-callback"


def test_the_secret_comes_by_the_environment_and_is_shown_nowhere(tmp_path: Path) -> None:
    config = loaded(tmp_path, GOOD, REMOTE_SERVER_OIDC_CLIENT_SECRET="s3cret")
    assert config.oidc.client_secret is not None
    assert config.oidc.client_secret.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(config) + str(config) + config.model_dump_json()


def test_a_secret_in_the_file_is_refused_and_not_shown(tmp_path: Path) -> None:
    said = faults(tmp_path, GOOD + 'client_secret = "s3cret"\n')
    assert "server.toml:7: [oidc] client_secret: does not belong in a file" in said
    assert "REMOTE_SERVER_OIDC_CLIENT_SECRET" in said and "s3cret" not in said


def test_lists_come_by_the_environment_too(tmp_path: Path) -> None:
    more = {"REMOTE_SERVER_OIDC_VIEWER_GROUPS": "all staff, guests"}
    assert loaded(tmp_path, GOOD, **more).oidc.viewer_groups == ("all staff", "guests")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[oidc]\nissuer = "https://a.b"', "[oidc] client_id: is needed beside issuer"),
        ('[oidc]\nissuer = "https://a.b"', "[oidc] url: is needed beside issuer"),
        ('[oidc]\nissuer = "https://a.b"', "or operator_groups or admin_groups: else nobody"),
        (GOOD + 'operator_groups = ["*"]', "only viewer_groups takes '*'"),
        (GOOD + 'scopes = ["email"]', "[oidc] scopes: needs openid among them"),
        (GOOD + 'viewer_groups = ["a", ""]', "an empty text in its list"),
        (GOOD + "viewer_groups = [1]", "is a list of texts"),
        (GOOD.replace("https://id", "http://id"), "begins with https://"),
        (GOOD.replace("https://id", "https://me:pw@id"), "without a user, a query"),
        (GOOD.replace("main", "main?x=1"), "without a user, a query"),
        (GOOD.replace("https://jobs.example/x/", "jobs"), "begins with https://"),
        (GOOD + "isuer = 1", "unknown key; did you mean issuer?"),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, said: str) -> None:
    assert said in faults(tmp_path, text)


def test_plain_http_is_for_this_host(tmp_path: Path) -> None:
    assert loaded(tmp_path, GOOD.replace("https://id.example", "http://127.0.0.1:9")).oidc.issuer
