"""The server's configuration: sources, precedence, faults with their origin."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote_server import config
from remote_server.config import (
    ConfigError,
    default_data_dir,
    env_name,
    load,
    unknown_variables,
)
from remote_server.setting_values import Address


def faults(file: Path | None = None, env: dict[str, str] | None = None, **flags: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load(file, env or {}, flags)
    assert caught.value.exit_code == 2
    return "\n".join(caught.value.faults)


def written(folder: Path, text: str) -> Path:
    file = folder / "server.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_defaults(tmp_path: Path) -> None:
    found = load(None, {})
    assert str(found.server.listen) == "127.0.0.1:8750"
    assert found.server.durability == "full"
    assert found.server.data_dir == default_data_dir()
    here = load(None, {}, {"data_dir": tmp_path})
    assert here.database_url == f"sqlite:///{tmp_path}/server.db"
    assert (found.logs.pack_after, found.logs.pack_above) == (900, 16 * 1024)
    assert found.retention.jobs is None


def test_what_is_kept_and_packed_is_configured(tmp_path: Path) -> None:
    file = written(tmp_path, '[retention]\njobs = "90d"\n[logs]\npack_above = "1MiB"\n')
    found = load(file, {"REMOTE_SERVER_LOGS_PACK_AFTER": "1h"})
    assert found.retention.jobs == 90 * 86400
    assert (found.logs.pack_after, found.logs.pack_above) == (3600, 1024 * 1024)
    assert "pack_after" in faults(env={"REMOTE_SERVER_LOGS_PACK_AFTER": "0s"})


def test_root_keeps_its_data_in_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    assert default_data_dir() == Path("/var/lib/remote-server")
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    assert default_data_dir().name == "remote-server"
    assert default_data_dir() != Path("/var/lib/remote-server")


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        '[server]\nlisten = ":1"\nlog_level = "debug"\ndatabase = "sqlite:////f.db"\n'
        '[agents]\noffer_ttl = "2m"\n[limits]\nmax_job_body = "1MiB"\n',
    )
    env = {"REMOTE_SERVER_LISTEN": ":2", "REMOTE_SERVER_DATABASE": "sqlite:////e.db"}
    found = load(file, env, {"listen": ":3", "log_level": None})
    assert found.server.listen == Address("0.0.0.0", 3)
    assert found.database_url == "sqlite:////e.db"
    assert found.server.log_level == "debug"
    assert found.agents.offer_ttl == 120
    assert found.limits.max_job_body == 1024 * 1024


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("server", "open_metrics", "true"),
        ("server", "durability", "normal"),
        ("agents", "heartbeat_interval", "5s"),
        ("jobs", "after_restore", "run"),
        ("limits", "max_followers", "7"),
        ("telemetry", "statsd", "127.0.0.1:8125"),
        ("telemetry", "otlp", "https://collector.example/base"),
    ],
)
def test_every_key_has_a_variable(section: str, key: str, value: str) -> None:
    found = load(None, {env_name(section, key): value})
    assert getattr(getattr(found, section), key) != getattr(getattr(load(None, {}), section), key)


@pytest.mark.parametrize("url", ["127.0.0.1:4318", "ftp://host", "http://", "http://host/?a=b"])
def test_what_is_no_collector(url: str) -> None:
    with pytest.raises(ConfigError, match="is not the URL of a collector"):
        load(None, {"REMOTE_SERVER_TELEMETRY_OTLP": url})


def test_a_collector_is_not_named_with_a_password() -> None:
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_HEADERS") as refused:
        load(None, {"REMOTE_SERVER_TELEMETRY_OTLP": "https://user:hunter2@collector.example"})
    assert "hunter2" not in str(refused.value)


def test_names_of_variables() -> None:
    assert env_name("server", "data_dir") == "REMOTE_SERVER_DATA_DIR"
    assert env_name("limits", "max_followers") == "REMOTE_SERVER_LIMITS_MAX_FOLLOWERS"


def test_all_faults_are_named_at_once_with_their_origin(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "# comment\n[server]\nlisten = 'nonsense'\nlogg_level = 'debug'\n\n[agents]\n"
        "offer_ttl = 'soon'\n\n[agent]\nx = 1\n",
    )
    said = faults(file, {"REMOTE_SERVER_LIMITS_MAX_FOLLOWERS": "0"}, durability="some")
    assert f"{file}:3: [server] listen: 'nonsense' is not HOST:PORT" in said
    assert f"{file}:4: [server] logg_level: unknown key; did you mean log_level?" in said
    assert f"{file}:7: [agents] offer_ttl: 'soon' is not a duration" in said
    assert f"{file}:9: [agent]: unknown section; did you mean agents?" in said
    assert "REMOTE_SERVER_LIMITS_MAX_FOLLOWERS: [limits] max_followers" in said
    assert "--durability: [server] durability" in said
    assert len(said.splitlines()) == 6


def test_a_file_that_is_no_toml_or_not_there(tmp_path: Path) -> None:
    assert ":2: not valid TOML" in faults(written(tmp_path, "[server]\nlisten 5\n"))
    assert "cannot be read" in faults(tmp_path / "missing.toml")
    (tmp_path / "server.toml").write_bytes(b"\xff\xfe")
    assert "UTF-8" in faults(tmp_path / "server.toml")


def test_a_certificate_needs_its_key() -> None:
    assert "--tls-cert: [server] tls_cert: needs tls_key too" in faults(tls_cert="c.pem")
    variables = {"REMOTE_SERVER_TLS_KEY": "k.pem"}
    assert "REMOTE_SERVER_TLS_KEY: [server] tls_key: needs tls_cert too" in faults(env=variables)


def test_a_database_is_a_url() -> None:
    assert "is not a URL" in faults(database="server.db")


def test_a_password_is_no_argument(tmp_path: Path) -> None:
    for url in ("postgresql://u:hunter2@h/d", "postgresql://u@h/d?password=hunter2"):
        said = faults(database=url)
        assert "--database" in said and "REMOTE_SERVER_DATABASE" in said
        assert "hunter2" not in said
        # Where nobody else can read it, it may stand.
        assert load(None, {"REMOTE_SERVER_DATABASE": url}).database_url == url
    assert "hunter2" not in faults(env={"REMOTE_SERVER_DATABASE": "postgresql/u:hunter2@h"})
    plain = "postgresql://u@h:5432/d?sslmode=require"
    assert load(None, {}, {"database": plain}).database_url == plain


def test_variables_of_kubernetes_and_empty_ones_are_left_alone() -> None:
    env = {"REMOTE_SERVER_PORT": "tcp://10.0.0.1:80", "REMOTE_SERVER_LISTEN": ""}
    assert load(None, env) == load(None, {})


def test_unknown_variables_are_told_but_those_of_kubernetes_are_not() -> None:
    env = {
        "REMOTE_SERVER_DATADIR": "/x",
        "REMOTE_SERVER_COLOUR": "red",
        "REMOTE_SERVER_LISTEN": ":1",
        "REMOTE_SERVER_CONFIG": "f",
        "REMOTE_AGENT_NAME": "a",
        # Of the services `remote-server` and `remote-server-metrics`.
        "REMOTE_SERVER_SERVICE_HOST": "10.0.0.1",
        "REMOTE_SERVER_SERVICE_PORT": "80",
        "REMOTE_SERVER_SERVICE_PORT_HTTP": "80",
        "REMOTE_SERVER_PORT": "tcp://10.0.0.1:80",
        "REMOTE_SERVER_PORT_80_TCP": "tcp://10.0.0.1:80",
        "REMOTE_SERVER_PORT_80_TCP_PROTO": "tcp",
        "REMOTE_SERVER_METRICS_SERVICE_HOST": "10.0.0.2",
        "REMOTE_SERVER_METRICS_PORT_9_UDP_ADDR": "10.0.0.2",
    }
    assert unknown_variables(env, ["REMOTE_SERVER_CONFIG"]) == [
        "the variable REMOTE_SERVER_COLOUR is not known and does nothing",
        "the variable REMOTE_SERVER_DATADIR is not known and does nothing; "
        "did you mean REMOTE_SERVER_DATA_DIR?",
    ]


def test_paths_may_start_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    found = load(None, {"REMOTE_SERVER_DATA_DIR": "~/data"})
    assert found.server.data_dir == Path("/home/someone/data")


def test_the_configuration_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(None, {}).server = config.ServerPart()


def test_a_service_gets_certificate_and_key_as_credentials(tmp_path: Path) -> None:
    env = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert load(None, env).server.tls_cert is None
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_text("-")  # the unit's default for a file that is missing
    assert load(None, env).server.tls_cert is None
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_text("-----BEGIN")
    found = load(None, env).server
    assert (found.tls_cert, found.tls_key) == (tmp_path / "tls.crt", tmp_path / "tls.key")
    elsewhere = {"REMOTE_SERVER_TLS_CERT": "/c", "REMOTE_SERVER_TLS_KEY": "/k"}
    assert load(None, env | elsewhere).server.tls_cert == Path("/c")
    (tmp_path / "tls.key").unlink()
    assert "tls_cert" in faults(env=env) and "needs tls_key too" in faults(env=env)
