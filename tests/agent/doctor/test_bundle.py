"""A bundle: what is in it, that its manifest is true, and that no secret is."""

from __future__ import annotations

import json
import os
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest

from remote_agent.config import Config
from remote_agent.connection.identity import FILE, Identity, save_identity
from remote_agent.doctor import bundle
from remote_agent.doctor.bundle import Redactor, Subject, write
from remote_agent.doctor.examination import STATIC
from remote_agent.journal.folder import ATTEMPTS

AGENT = "rat_" + "Canary-agent" * 3
GIVEN = "rrt_" + "Canary-given" * 3
OTHER = "rpt_" + "Canary-other" * 3
PASSWORDS = ("canary-configured", 'canary"quoted', "canary-environment", "canary-registered")


def unpacked(file: Path) -> dict[str, bytes]:
    """Every file of a bundle."""
    found = {}
    with tarfile.open(file) as archive:
        for entry in archive:
            content = archive.extractfile(entry)
            assert content is not None and entry.mode == 0o600
            found[entry.name.partition("/")[2]] = content.read()
    return found


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    """A host on which secrets stand wherever one can."""
    state = tmp_path / "state"
    identity = Identity(
        "https://h", "web-7", AGENT, "canary-fingerprint",
        proxy=f"http://me:{PASSWORDS[3]}@proxy:1", settings={"queues": ["default"]},
    )  # fmt: skip
    save_identity(state, identity)
    config = Config.model_validate(
        {"state_dir": state, "server": {"proxy": f"http://me:{PASSWORDS[0]}@proxy:2"}}
    )
    environ = {
        "HTTPS_PROXY": f"http://me:{PASSWORDS[2]}@proxy:3",
        "http_proxy": "http://me:canary%22quoted@proxy:4",
        "REMOTE_AGENT_TOKEN": GIVEN,
        "PATH": "/bin",
        "AWS_SECRET_ACCESS_KEY": "canary-aws",
    }
    logs = state / "logs"
    logs.mkdir()
    lines = [
        json.dumps({"event": f"with {AGENT} and {OTHER}", "password": PASSWORDS[1]}),
        json.dumps({"event": f"via http://me:{PASSWORDS[0]}@proxy:2", "plain": PASSWORDS[2]}),
        json.dumps({"event": "an honest line", "fingerprint": "canary-fingerprint"}),
    ]
    (logs / "agent.log").write_text("\n".join(lines) + "\n")
    (logs / "agent.log.1").write_text(f"older {PASSWORDS[3]}\n")
    attempt = state / ATTEMPTS / "01ARYZ6S410000000000000000.1"
    attempt.mkdir(parents=True)
    for name in ("order.json", "spool"):
        (attempt / name).write_text("canary-of-a-job")
    findings = [STATIC[0].failed("configuration_invalid", "f", f"why {AGENT}", "c")]
    return Subject(state, config, {("server", "proxy"): "agent.toml:2"}, findings, environ)


def test_no_secret_gets_in(subject: Subject, tmp_path: Path) -> None:
    file = tmp_path / "out.tar.gz"
    names = write(file, subject)
    files = unpacked(file)
    assert list(files) == names and "logs/agent.log.1" in names
    everything = b"".join(files.values()).decode()
    assert "anary" not in everything, [line for line in everything.splitlines() if "anary" in line]
    for kept in ("web-7", "an honest line", "older ***", "proxy:2", "01ARYZ6S41", "agent.toml:2"):
        assert kept in everything, kept
    assert "rpt_***" in everything


def test_the_manifest_is_true(subject: Subject, tmp_path: Path) -> None:
    file = tmp_path / "out.tar.gz"
    write(file, subject)
    files = unpacked(file)
    manifest = json.loads(files.pop(bundle.MANIFEST))
    assert {one["name"] for one in manifest["files"]} == files.keys()
    for one in manifest["files"]:
        content = files[one["name"]]
        assert (one["size"], one["sha256"]) == (len(content), sha256(content).hexdigest())
    assert manifest["redacted_lines"] >= 5
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob(".out*")) == []


def test_it_replaces_nothing_and_leaves_nothing_behind(subject: Subject, tmp_path: Path) -> None:
    file = tmp_path / "out.tar.gz"
    file.write_text("mine")
    with pytest.raises(FileExistsError):
        write(file, subject)
    assert file.read_text() == "mine" and list(tmp_path.glob(".out*")) == []


def test_it_works_with_hardly_anything(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{damaged")
    file = tmp_path / "out.tar.gz"
    write(file, Subject(tmp_path, None, {}, [], {}))
    files = unpacked(file)
    assert "no agent runs" in json.loads(files["status.json"])["error"]
    assert json.loads(files["configuration.json"]) == {
        "effective": None, "origins": {}, "registered": None
    }  # fmt: skip


def test_the_log_is_bounded_and_cut_between_lines(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "MOST_LOG", 100)
    log = subject.state_dir / "logs" / "agent.log"
    log.write_text("".join(f"line {number:04}\n" for number in range(100)))
    file = tmp_path / "out.tar.gz"
    assert "logs/agent.log.1" not in write(file, subject)
    kept = unpacked(file)["logs/agent.log"]
    assert kept.startswith(b"line 00") and kept.endswith(b"line 0099\n") and len(kept) <= 100


def test_no_file_that_a_job_names_gets_in(subject: Subject, tmp_path: Path) -> None:
    """A job can put anything into the agent's folder, and root may make the bundle."""
    (tmp_path / "shadow").write_text("canary-of-root\n")
    logs = subject.state_dir / "logs"
    for name in ("agent.log", "agent.log.1"):
        (logs / name).unlink()
    (logs / "agent.log").symlink_to(tmp_path / "shadow")
    os.link(tmp_path / "shadow", logs / "agent.log.1")
    os.mkfifo(logs / "agent.log.2")
    file = tmp_path / "out.tar.gz"
    write(file, subject)
    files = unpacked(file)
    assert "canary-of-root" not in b"".join(files.values()).decode()
    for name in ("agent.log", "agent.log.1", "agent.log.2"):
        assert files[f"logs/{name}"].startswith(b"left out:")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "agent.log").write_text("canary-of-root\n")
    logs.rename(tmp_path / "old")
    logs.symlink_to(tmp_path / "elsewhere")
    other = tmp_path / "other.tar.gz"
    write(other, subject)
    assert "canary-of-root" not in b"".join(unpacked(other).values()).decode()


def test_a_secret_that_is_too_short_blackens_nothing() -> None:
    redact = Redactor(["", "a", "secret-value"])
    assert redact("a banana, secret-value\nfine") == "a banana, ***\nfine"
    assert redact.count == 1
    assert os.linesep not in redact("")
