"""The role on a host that has nothing, through an agent's life, to a host that has nothing."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.control import HOST, TOKEN, ArgumentWatch, Control, kept
from tests.systemd.host import FINISH, STATE, UNIT, Host, writer
from tests.systemd.machine import until
from tests.systemd.traces import same, settled

PROGRAM = "/usr/local/bin/remote-agent"
DOWNLOADS = "http://127.0.0.1:8099"


@pytest.fixture(scope="module", autouse=True)
def bare(host: Host, control: Control) -> set[tuple[str, str]]:
    """What the host was like before the role came."""
    return kept(host)


def of_server(host: Host) -> dict[str, Any]:
    """What the server knows of the agent."""
    found: dict[str, Any] = json.loads(host.ctl("agent", "show", HOST, "--output", "json"))
    return found


def runs_new(host: Host) -> bool:
    """Whether the process of the service is of version 9.9.9, which is in its directory's name."""
    return "/9.9.9-" in host.machine.call("readlink", f"/proc/{host.online()}/exe")


def registration_tokens(host: Host) -> list[str]:
    """Those that were made, whether they were used or not."""
    return host.ctl("registration-token", "list", "-q").split()


def tokens_on_disk(*folders: Path) -> Iterator[str]:
    """The files that have the text of a token in them."""
    pattern = re.compile(TOKEN.pattern.encode())
    for top in folders:
        for folder, _, names in os.walk(top):
            for name in names:
                path = Path(folder, name)
                if path.is_file() and not path.is_symlink() and pattern.search(path.read_bytes()):
                    yield str(path.relative_to(top))


def test_a_check_of_a_bare_host_fails_nothing_and_changes_nothing(
    host: Host, control: Control, bare: set[tuple[str, str]]
) -> None:
    tokens = registration_tokens(host)
    played = control.play("--check", "--diff")
    assert played.code == 0 and played.counts["changed"] > 3, played.text
    assert '+labels = { "gpu" = "false" }' in played.text and "+service: installed" in played.text
    same(kept(host), bare)
    assert registration_tokens(host) == tokens, "a check makes no token"


def test_what_is_wrong_is_named_and_nothing_is_started(host: Host, control: Control) -> None:
    digest = "0" * 64
    faults: tuple[tuple[dict[str, Any], str], ...] = (
        ({"checksum": f"sha256:{digest}"}, "not what remote_agent_checksum says"),
        ({"checksum": "md5:1"}, "remote_agent_checksum is sha256:"),
        ({"url": DOWNLOADS}, "remote_agent_url or by remote_agent_file, one of them"),
        ({"server": None}, "remote_agent_server is missing"),
        ({"config": {"limits": {"max_timeuot": "1h"}}, "api_token": None}, "max_timeuot"),
        ({"api_token": "rpt_" + "a" * 43}, "status 401"),
    )
    played = control.play_each(*(variables for variables, _ in faults))
    assert played.code == 2 and not TOKEN.search(played.text), played.text
    for number, (_, words) in enumerate(faults):
        assert words in played.failure(f"case-{number}"), played.text
    assert host.machine.run("test", "-e", f"/etc/systemd/system/{UNIT}").returncode == 1


def test_a_refused_token_is_named_and_not_shown(host: Host, control: Control) -> None:
    refused = "rrt_" + "b" * 43
    played = control.play("-vvv", token=refused, api_token=None)
    assert played.code == 2, played.text
    failure = played.text[played.text.index("Say why the host could not be registered") :]
    assert "token" in failure and "rrt_" not in played.text, failure
    assert not list(tokens_on_disk(control.home))


def test_the_first_run_ends_online_and_shows_no_token(
    host: Host, control: Control, old: Path
) -> None:
    host.machine.call("mkdir", "/root/downloads")
    (host.machine.root / "root/downloads/remote-agent").write_bytes(old.read_bytes())
    serve = ["python3", "-m", "http.server", "8099", "--bind", "127.0.0.1"]
    unit = ["systemd-run", "-q", "--unit=test-downloads", "--working-directory=/root/downloads"]
    host.machine.call(*unit, *serve)
    host.listens(8099)
    host.machine.call("rm", "-f", PROGRAM)
    with ArgumentWatch(host.machine) as watch:
        # Without pipelining modules lie on the host's disk while they run, arguments included.
        played = control.play("-vvv", pipelining=False, file=None, url=f"{DOWNLOADS}/remote-agent")
    assert played.code == 0 and played.counts["changed"] >= 1, played.text
    assert any("service\0install" in text for text in watch.seen), (
        "it has seen the call with a token"
    )
    assert not watch.found
    assert not TOKEN.search(played.text)
    found = of_server(host)
    assert (found["state"], sorted(found["queues"])) == ("online", ["berlin", "default"])
    assert (found["labels"], found["capacity"]) == ({"gpu": "false"}, {"default": 4})
    assert not found["warning"]
    left = list(tokens_on_disk(host.machine.folder / "upper/data", control.home))
    # The server's own and the agent's; the registration token has gone.
    assert sorted(left) == ["var/lib/remote-agent/identity.json", "var/lib/test-server/admin-token"]
    assert ("/etc/remote-agent/agent.env", "-rw------- 0 0") in settled(host)
    host.is_whole(host.submit(writer(50)), 50)


def test_the_second_run_changes_nothing(host: Host, control: Control) -> None:
    pid, tokens = host.online(), registration_tokens(host)
    assert control.changes() == 0
    assert control.changes("--check", "--diff") == 0
    assert host.pid() == pid
    assert registration_tokens(host) == tokens


def test_labels_queues_and_capacity_change(host: Host, control: Control) -> None:
    wanted: dict[str, Any] = {
        "labels": {"gpu": True, "zone": 7, "rack": "3"},
        "queues": ["monitors", "default"],
        "capacity": {"default": 4, "monitors": 2},
    }
    before = of_server(host)
    shown = control.play("--check", "--diff", **wanted)
    assert shown.counts["changed"] == 3, shown.text
    assert '+    "gpu": "true"' in shown.text and '+queues = ["monitors", "default"]' in shown.text
    assert of_server(host)["labels"] == before["labels"]
    job = host.submit(writer(50), "--label", "gpu=true", "--queue", "monitors")
    assert control.changes(**wanted) == 3
    host.is_whole(job, 50)
    control.variables |= {f"remote_agent_{key}": value for key, value in wanted.items()}
    found = of_server(host)
    assert found["labels"] == {"gpu": "true", "zone": "7", "rack": "3"} and not found["warning"]


def test_what_others_changed_is_put_right(host: Host, control: Control) -> None:
    host.machine.call("systemctl", "stop", UNIT)
    host.machine.call("sh", "-c", "echo '[agent]' > /etc/remote-agent/agent.toml")
    host.ctl("agent", "set", HOST, "--capacity", "1")
    assert control.changes() == 3
    host.online()
    assert of_server(host)["capacity"] == {"default": 4, "monitors": 2}


def test_variables_of_the_service_and_a_profile(host: Host, control: Control) -> None:
    secret = 'a "quoted" \\ $HOME %h secret'
    control.variables["remote_agent_environment"] = {"WORDS": secret}
    control.variables["remote_agent_config"] = {
        "limits": {"max_timeout": "12h"},
        "log": {"level": "debug"},
    }
    # What was taken away goes, too.
    control.variables["remote_agent_labels"] = {"gpu": True, "zone": 7}
    pid = host.pid()
    played = control.play("--diff", "-vvv", profile="users")
    assert played.code == 0 and "secret" not in played.text, played.text
    host.online(other_than=pid)
    assert of_server(host)["labels"] == {"gpu": "true", "zone": "7"}
    environment = host.machine.call("cat", f"/proc/{host.pid()}/environ").split("\0")
    assert f"WORDS={secret}" in environment
    assert "profile    users" in host.service("status")
    assert 'max_timeout = "12h"' in host.machine.call("cat", "/etc/remote-agent/agent.toml")
    # Nothing but the profile: what was set before is seen to be as it is wanted.
    assert control.changes(profile="strict") == 1


def test_an_upgrade_under_load_loses_nothing(host: Host, control: Control, new: Path) -> None:
    jobs = [host.writing() for _ in range(3)]
    pid = host.pid()
    control.variables |= {"remote_agent_file": str(new), "remote_agent_checksum": ""}
    assert control.changes() == 2
    host.online(other_than=pid)
    assert runs_new(host)
    assert [host.job(job)["state"] for job in jobs] == ["running"] * 3
    host.let_finish()
    for job in jobs:
        host.has_finished(job)


def test_settings_that_were_written_and_not_read_are_found(host: Host, control: Control) -> None:
    """As when a run is interrupted between the two: the digest is still that of before."""
    pid = host.online()
    host.machine.call("sh", "-c", "echo before > /etc/remote-agent/.in-effect")
    assert control.changes("--check") == 1 and host.pid() == pid
    assert control.changes() == 1
    host.online(other_than=pid)
    assert control.changes() == 0


def test_another_program_after_draining_ends_no_job(
    host: Host, control: Control, old: Path
) -> None:
    """A run that is interrupted between replacing the program and starting it leaves nothing that
    the next one does not see: that one drains the agent, as it would have."""
    job = host.writing()
    (host.machine.root / PROGRAM[1:]).unlink()
    (host.machine.root / PROGRAM[1:]).write_bytes(old.read_bytes())
    host.machine.call("chmod", "755", PROGRAM)
    control.variables["remote_agent_file"] = str(old)
    with ThreadPoolExecutor(1) as pool:
        playing = pool.submit(control.changes, drain=True)
        try:
            until(lambda: host.status().get("draining") or playing.done(), "it drains", 600)
            assert not playing.done() and host.job(job)["state"] == "running"
        finally:
            host.let_finish()
        assert playing.result() == 1
    host.has_finished(job)
    assert not runs_new(host)
    assert host.job(job)["ended_at"] < of_server(host)["connected_at"], (
        "the other version came after its end"
    )
    host.is_whole(host.submit(writer(50)), 50)


def test_removal_keeps_what_the_server_does_not_have(host: Host, control: Control) -> None:
    job = host.writing()
    played = control.play(state="absent")
    assert played.code == 2 and job in played.text and "--force" in played.text, played.text
    host.let_finish()
    host.has_finished(job)


def test_removal_leaves_nothing(host: Host, control: Control, bare: set[tuple[str, str]]) -> None:
    control.variables = {"remote_agent_state": "absent"}
    shown = control.play("--check", "--diff")
    assert shown.code == 0 and "-service: installed" in shown.text, shown.text
    job = host.writing()
    assert of_server(host)["state"] == "online"
    mine = "/etc/remote-agent/mine"
    host.machine.call("touch", mine)
    assert control.changes(drain=True, drain_deadline="1s") == 2
    found = host.job(job)
    assert (found["state"], found["attempt"]) == ("cancelled", 1), found
    assert host.machine.run("test", "-e", STATE).returncode == 1
    host.machine.call("rm", mine)
    assert control.changes() == 1
    same(kept(host), bare, "/root/downloads", "/root/downloads/remote-agent", FINISH)
    assert host.ctl("agent", "list", "-q") == ""
    assert control.changes() == 0
    assert control.changes("--check") == 0
