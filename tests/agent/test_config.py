"""The agent's configuration: precedence, variables, URL checks, every fault at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from remote_agent import config as configuration
from remote_agent.config import FLAGS, as_document, env_names, load
from remote_agent.errors import ConfigError
from remote_agent.sections import SECTIONS
from remote_agent.values import proxy_url
from remote_protocol.messages import Settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "agent.toml"


def faults(file: Path | None, environ=None, flags=None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(file, environ or {}, flags)
    assert caught.value.exit_code == 2
    return caught.value.faults


def test_defaults(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(configuration, "default_file", lambda: tmp_path / "none.toml")
    config, origins = load(None, {}, state_dir=tmp_path)
    assert config.state_dir == tmp_path
    assert config.server.url is None
    assert config.agent.settings == Settings()
    assert (config.agent.on_stop, config.agent.durability) == ("leave", "full")
    assert (config.logs.segment_size, config.logs.segments) == (10_000_000, 10)
    assert (config.logs.retention, config.logs.max_total) == (604800.0, 5_000_000_000)
    assert config.limits.min_free_disk == 1024**3
    assert config.limits.cgroup == "auto"
    assert origins == {}


def test_the_file_of_the_contract(file: Path) -> None:
    file.write_text(
        '[server]\nurl = "https://jobs.example.com/"\nproxy = "http://u:p@proxy:3128"\n'
        '[agent]\nname = "berlin-1"\nqueues = ["a", "b"]\nlabels = {gpu = "true"}\n'
        "capacity = {default = 4, monitors = 10}\n"
        'on_stop = "drain"\nwork_dir = "~/work"\n'
        '[logs]\nsegment_size = "10MB"\nsegments = 10\nretention = "7d"\nmax_total = "5GB"\n'
        '[limits]\nmin_free_disk = "1GiB"\nmax_timeout = "1h30m"\nmax_job_log = "1GiB"\n'
    )
    config, origins = load(file, {})
    assert config.server.url == "https://jobs.example.com"
    assert config.agent.settings == Settings(
        queues=["a", "b"], labels={"gpu": "true"}, capacity={"default": 4, "monitors": 10}
    )
    assert config.agent.work_dir == Path.home() / "work"
    assert config.limits.max_timeout == 5400.0
    assert config.limits.max_job_log == 1024**3
    assert origins["agent", "name"] == f"{file}:5"


def test_flags_beat_environment_beats_file(file: Path) -> None:
    file.write_text('[agent]\nname = "file"\nqueues = ["file"]\ncapacity = 1\n')
    environ = {"REMOTE_AGENT_NAME": "env", "REMOTE_AGENT_QUEUES": "env,more"}
    config, origins = load(file, environ, {("agent", "name"): "flag", ("agent", "labels"): None})
    assert config.agent.name == "flag"
    assert config.agent.queues == ["env", "more"]
    assert config.agent.capacity == {"default": 1}
    assert origins["agent", "name"] == "--name"
    assert origins["agent", "queues"] == "REMOTE_AGENT_QUEUES"
    assert origins["agent", "capacity"] == f"{file}:4"


def test_everything_can_be_set_by_environment(tmp_path: Path) -> None:
    values = {
        ("server", "url"): "http://10.0.0.5:8750",
        ("server", "ca_file"): "/ca.pem",
        ("server", "proxy"): "proxy:3128",
        ("server", "insecure"): "true",
        ("server", "max_reconnect_wait"): "5s",
        ("server", "client_cert"): "/c.pem",
        ("server", "client_key"): "/k.pem",
        ("agent", "name"): "n",
        ("agent", "queues"): "a, b",
        ("agent", "labels"): "gpu=true,zone=b=1",
        ("agent", "capacity"): "default=4, monitors=10",
        ("agent", "compatible_with"): "datahub",
        ("agent", "on_stop"): "cancel",
        ("agent", "stop_timeout"): "30s",
        ("agent", "work_dir"): "/w",
        ("agent", "durability"): "normal",
        ("logs", "segment_size"): "1MiB",
        ("logs", "segments"): "3",
        ("logs", "retention"): "2d",
        ("logs", "max_total"): "1GiB",
        ("limits", "min_free_disk"): "2GiB",
        ("limits", "max_timeout"): "1h",
        ("limits", "max_job_log"): "5MiB",
        ("limits", "cgroup"): "off",
        ("containers", "engine"): "/usr/bin/podman",
        ("containers", "mounts"): "/data, /models:ro",
        ("containers", "networks"): "none,default",
        ("containers", "pids"): "100",
        ("jobs", "run_as"): "nobody",
        ("jobs", "user_range"): "80000-80009",
        ("jobs", "umask"): "027",
        ("jobs", "no_new_privileges"): "false",
        ("secrets", "env_allow"): "DB_*, KEY",
        ("secrets", "dir"): "/run/secrets",
        ("secrets", "max_size"): "64KiB",
        ("limits", "max_artifacts"): "2GiB",
        ("contents", "cache_max"): "3GB",
        ("relay", "allow"): "api,other",
        ("python", "interpreter"): "/opt/python3",
        ("python", "index_url"): "https://pypi.example.com/simple",
        ("python", "find_links"): "/wheels",
        ("python", "netrc"): "/netrc",
        ("python", "offline"): "true",
        ("python", "cache_max"): "1GB",
        ("python", "environments"): "a=/opt/a,b=/opt/b",
        ("python", "warm"): "2",
        ("python", "warm_memory"): "2GiB",
        ("python", "versions"): "acryl-datahub=1.7.0.17",
        ("log", "level"): "debug",
        ("log", "format"): "json",
        ("telemetry", "listen"): "localhost:9087",
        ("telemetry", "statsd"): "127.0.0.1:8125",
        ("telemetry", "otlp"): "http://127.0.0.1:4318",
        ("telemetry", "interval"): "5s",
        ("log", "send"): "warning",
        ("telemetry", "liveness_file"): "/run/live",
        ("telemetry", "readiness_file"): "~/ready",
    }
    keys = {(section, key) for section, part in SECTIONS.items() for key in part.model_fields}
    assert set(values) == keys
    for place in range(2):
        environ = {
            names[min(place, len(names) - 1)]: text
            for key, text in values.items()
            if (names := env_names(*key))
        } | {"REMOTE_AGENT_STATE_DIR": str(tmp_path)}
        with pytest.raises(ConfigError, match="run_as or user_range, not both"):
            load(None, environ)
        del environ["REMOTE_AGENT_JOBS_RUN_AS"]
        config, origins = load(None, environ)
        assert set(origins) == keys - {("jobs", "run_as")}
        assert config.jobs.user_range == (80000, 80009) and config.jobs.umask == 0o27
        document = as_document(config)["jobs"]
        assert (document["user_range"], document["umask"]) == ("80000-80009", "027")
        assert config.state_dir == tmp_path
        assert config.server.proxy == "http://proxy:3128"
        assert config.agent.queues == ["a", "b"]
        assert config.agent.labels == {"gpu": "true", "zone": "b=1"}
        assert config.agent.capacity == {"default": 4, "monitors": 10}
        assert config.server.max_reconnect_wait == 5.0
        assert config.logs.segments == 3


def test_an_empty_variable_is_none(file: Path) -> None:
    file.write_text('[agent]\nname = "file"\n')
    assert load(file, {"REMOTE_AGENT_NAME": ""})[0].agent.name == "file"


def test_every_fault_at_once_with_its_place(file: Path) -> None:
    file.write_text(
        '[server]\nulr = "x"\nproxy = "socks5://u:hunter2@h:1"\n[agent]\nname = "bad name"\n'
        'on_stop = "explode"\n[limits]\nmin_free_disk = "1 parsec"\ncgroup = "x"\n[policy]\n'
        '[secrets]\nenv_allow = ["A-B"]\nmax_size = "2MiB"\n'
    )
    found = faults(
        file,
        {"REMOTE_AGENT_URL": "host:80", "REMOTE_AGENT_CAPACTY": "1"},
        {("agent", "capacity"): "x"},
    )
    text = "\n".join(found)
    assert len(found) == 12
    assert f"{file}:2: [server] ulr: unknown key; did you mean url?" in found
    assert f"{file}:3: [server] proxy: proxies of the kind socks5:// are not supported" in text
    assert f"{file}:5: [agent] name: is 1 to 128 letters" in text
    assert f"{file}:6: [agent] on_stop: should be 'leave', 'drain' or 'cancel'" in found
    assert f"{file}:8: [limits] min_free_disk: '1 parsec' is not a size" in text
    assert f"{file}:9: [limits] cgroup: 'x' is neither auto" in text
    assert f"{file}:10: [policy]: is not supported by this version; remove the section" in found
    assert f"{file}:12: [secrets] env_allow.0: 'A-B' is no name of a variable" in text
    assert f"{file}:13: [secrets] max_size: " in text
    assert "REMOTE_AGENT_URL: [server] url: 'host:80' has no scheme; did you mean https" in text
    assert "--capacity: [agent] capacity: 'x' is neither a number of jobs" in text
    assert "REMOTE_AGENT_CAPACTY: unknown variable; did you mean REMOTE_AGENT_CAPACITY?" in found
    assert "hunter2" not in text


def test_variables_of_others_are_left_alone() -> None:
    environ = {
        "REMOTE_AGENT_SERVER_PORT": "tcp://10.0.0.1:80",
        "REMOTE_AGENT_SERVER_SERVICE_HOST": "10.0.0.1",
        "REMOTE_AGENT_SOMETHING_ELSE": "x",
        "REMOTE_AGENT": "n",
    }
    load(None, environ)


def test_no_toml(file: Path) -> None:
    file.write_text("[agent]\nname = \n")
    (fault,) = faults(file)
    assert fault.startswith(f"{file}:2: not valid TOML: ")
    file.write_bytes(b"\xff\xfe")
    assert faults(file) == [f"{file}: is no text in UTF-8; write the configuration as TOML"]
    assert "does not exist" in faults(file.with_name("other.toml"))[0]


def test_a_secret_may_be_in_a_file_of_its_own(file: Path) -> None:
    file.write_text('[server]\nproxy = "http://other:1"\n')
    secret = file.with_name("proxy")
    secret.write_text("http://u:hunter2@h:1\n")
    for name in ("REMOTE_AGENT_PROXY_FILE", "REMOTE_AGENT_SERVER_PROXY_FILE"):
        config, origins = load(file, {name: str(secret)})
        assert config.server.proxy == "http://u:hunter2@h:1"
        assert origins["server", "proxy"] == name


def test_faults_of_secrets_in_files(file: Path) -> None:
    secret = file.with_name("proxy")
    environ = {"REMOTE_AGENT_PROXY_FILE": str(secret), "REMOTE_AGENT_CAPACITY": "x"}
    missing, other = faults(None, environ)
    assert missing == (
        f"REMOTE_AGENT_PROXY_FILE: the file {secret} cannot be read: No such file or directory"
    )
    assert other.startswith("REMOTE_AGENT_CAPACITY:"), "all faults at once"
    secret.write_text("socks5://u:hunter2@h:1\n")
    (wrong,) = faults(None, {"REMOTE_AGENT_PROXY_FILE": str(secret)})
    assert wrong.startswith("REMOTE_AGENT_PROXY_FILE: [server] proxy: ") and "hunter2" not in wrong
    environ = {"REMOTE_AGENT_PROXY_FILE": str(secret), "REMOTE_AGENT_PROXY": "http://h:1"}
    assert faults(None, environ) == [
        "REMOTE_AGENT_PROXY and REMOTE_AGENT_PROXY_FILE are both set; leave one of them out"
    ]
    assert faults(None, {"REMOTE_AGENT_PROXI_FILE": str(secret)}) == [
        "REMOTE_AGENT_PROXI_FILE: unknown variable; did you mean REMOTE_AGENT_PROXY_FILE?"
    ]


def test_a_key_without_a_certificate() -> None:
    (fault,) = faults(None, {"REMOTE_AGENT_CLIENT_KEY": "/k"})
    assert fault == "REMOTE_AGENT_CLIENT_KEY: [server] client_key: is of no use without client_cert"


def test_the_state_directory_is_no_key_of_the_file(file: Path) -> None:
    file.write_text('state_dir = "/x"\n')
    assert "--state-dir or REMOTE_AGENT_STATE_DIR only" in faults(file)[0]


def test_proxies() -> None:
    assert proxy_url("http://u:p@h:3128/") == "http://u:p@h:3128"
    assert proxy_url("h:3128") == "http://h:3128"
    for bad in ("https://u:hunter2@h", "socks5://hunter2@h", "http://u:hunter2@h:x", "http://"):
        with pytest.raises(ValueError) as caught:
            proxy_url(bad)
        assert "hunter2" not in str(caught.value)


def test_the_document_hides_the_password(tmp_path: Path) -> None:
    environ = {
        "REMOTE_AGENT_PROXY": "http://u:hunter2@h:1",
        "REMOTE_AGENT_STATE_DIR": str(tmp_path),
    }
    document = configuration.as_document(load(None, environ)[0])
    assert "hunter2" not in json.dumps(document)
    assert document["server"]["proxy"] == "http://***@h:1"


def test_the_configuration_is_frozen(tmp_path: Path) -> None:
    config, _ = load(None, {}, state_dir=tmp_path)
    with pytest.raises(ValueError):
        config.agent.name = "x"


def test_every_flag_names_a_key() -> None:
    assert all(key in SECTIONS[section].model_fields for section, key in FLAGS)


def test_root_uses_the_directories_of_the_system(monkeypatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert configuration.default_state_dir() == Path("/var/lib/remote-agent")
    assert configuration.default_file() == Path("/etc/remote-agent/agent.toml")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert configuration.default_file().name == "agent.toml"
    assert Path.home() in configuration.default_state_dir().parents


def test_state_and_configuration_have_places_of_their_own(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 501)
    monkeypatch.delenv("CONFIGURATION_DIRECTORY", raising=False)
    for name in ("user_data_path", "user_config_path"):  # as on macOS
        monkeypatch.setattr(f"platformdirs.{name}", lambda *_, **__: tmp_path)
    assert configuration.default_state_dir() == tmp_path / "state"
    assert configuration.default_file() == tmp_path / "agent.toml"
