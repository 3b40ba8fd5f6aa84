"""TLS with a private CA: who knows it gets through, others are told cause and cure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from remote_protocol.api.agents import AgentChange
from remote_protocol.states import JobState
from tests.support.authority import Authority
from tests.support.stack import Stack, says, until


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server that speaks TLS only, as 127.0.0.1."""
    authority = Authority(tmp_path_factory.mktemp("tls"))
    authority.certify("127.0.0.1")
    with authority.stack() as stack:
        stack.start_server()
        yield stack


@pytest.fixture
def other_ca(tmp_path: Path) -> Path:
    """Another CA, which signed nothing here."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    return tmp_path / "other.pem"


def test_a_private_ca_by_flag_and_by_environment(secure: Stack) -> None:
    assert secure.ca_file is not None
    secure.agent("flag", "--ca-file", secure.ca_file, capacity=1)
    secure.agent("variable", capacity=1, REMOTE_AGENT_CA_FILE=str(secure.ca_file))
    for name in ("flag", "variable"):
        script = f"echo safe >&2; echo $REMOTE_AGENT is {name}"
        secure.client.change_agent(name, AgentChange(labels={"is": name}))
        done = secure.ctl("run", "--label", f"is={name}", "--shell", "sh", "--", script)
        wanted = f"{name} is {name}\n".encode()
        assert (done.returncode, done.stdout, done.stderr) == (0, wanted, b"safe\n")
    # The flag was kept with the identity: nothing has to be said again.
    assert secure.agents["flag"].stop() == 0
    secure.agents["flag"].start()
    secure.online("flag")


def test_an_unknown_ca_is_named_with_its_cure(secure: Stack, other_ca: Path) -> None:
    for options in ([], ["--ca-file", other_ca]):
        done = secure.register("unknown", *options, check=False)
        assert done.returncode == 1
        says(done.stderr, secure.url, "is not trusted", "--ca-file", "[server] ca_file")
    ctl = secure.ctl("job", "list", REMOTE_CA_FILE=str(other_ca))
    assert ctl.returncode == 1
    says(ctl.stderr.decode(), secure.url, "certificate", "--ca-file")


def test_another_host_name_is_named_with_its_cure(secure: Stack) -> None:
    url = f"https://localhost:{secure.port}"
    done = secure.register("misnamed", "--ca-file", secure.ca_file, url=url, check=False)
    assert done.returncode == 1
    says(done.stderr, url, "'localhost'", "use the host name that it was made for")
    assert "--ca-file" not in done.stderr, "the authority is right"
    ctl = secure.ctl("job", "list", REMOTE_URL=url)
    assert ctl.returncode == 1
    says(ctl.stderr.decode(), url, "'localhost'", "host name that it was made for")
    assert b"--ca-file" not in ctl.stderr, "the authority is right"


def test_a_ca_file_that_is_none(secure: Stack, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("no certificate\n")
    for file in (tmp_path / "empty.pem", tmp_path / "missing.pem"):
        done = secure.register("broken", "--ca-file", file, check=False)
        assert done.returncode == 2
        says(done.stderr, str(file), "PEM")
        ctl = secure.ctl("job", "list", REMOTE_CA_FILE=str(file))
        assert ctl.returncode == 2
        says(ctl.stderr.decode(), str(file), "PEM")


def test_the_wrong_scheme_is_named(secure: Stack) -> None:
    plain = f"http://127.0.0.1:{secure.port}"
    done = secure.register("plain", url=plain, check=False)
    assert done.returncode == 1
    says(done.stderr, plain, "https://")
    ctl = secure.ctl("job", "list", REMOTE_URL=plain)
    assert ctl.returncode == 1
    says(ctl.stderr.decode(), plain, "https://")


def test_https_to_a_port_without_tls(stack: Stack) -> None:
    url = f"https://127.0.0.1:{stack.port}"
    done = stack.register("secret", url=url, check=False)
    assert done.returncode == 1
    says(done.stderr, url, "speaks no TLS", "http://")
    ctl = stack.ctl("job", "list", REMOTE_URL=url)
    assert ctl.returncode == 1
    says(ctl.stderr.decode(), url, "http://")


def test_the_systems_own_cas_are_trusted(secure: Stack) -> None:
    system: dict[str, Any] = {"SSL_CERT_FILE": str(secure.ca_file)}
    secure.agent("system", **system)
    assert secure.ctl("job", "list", REMOTE_CA_FILE="", **system).returncode == 0


def test_a_running_agent_tells_what_is_wrong_and_comes_back(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.certify("127.0.0.1")
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    with authority.stack() as stack:
        stack.start_server()
        agent = stack.agent("a", "--ca-file", authority.file)
        job = stack.submit(f"while [ ! -e {tmp_path / 'go'} ]; do sleep 0.02; done")
        stack.reaches(job.id, JobState.RUNNING)

        def restarted(wants: str) -> None:
            stack.server.stop()
            stack.start_server()
            until(lambda: wants in agent.words(), f"the agent says {wants!r}")

        authority.certify("elsewhere.example")
        restarted("use the host name that it was made for")
        assert "name that with" not in agent.words(), "the authority is right"
        other.certify("127.0.0.1")
        for name in ("cert.pem", "key.pem"):
            (other.root / name).replace(tmp_path / name)
        restarted("if a private CA signed it, name that with --ca-file or [server] ca_file")
        authority.certify("127.0.0.1")
        stack.server.stop()
        stack.start_server()
        stack.online("a")
        (tmp_path / "go").touch()
        assert stack.client.wait(job.id, 30).state is JobState.SUCCEEDED
        says(agent.words())
