"""The agent as a service of a really booted systemd: installed, killed, hung, upgraded, removed."""

from __future__ import annotations

from remote_agent.service import units
from tests.systemd.host import FINISH, JOBS, STATE, UNIT, URL, Host, writer
from tests.systemd.machine import said, until
from tests.systemd.traces import same, settled

LINES = 3000
STRICTEST = 3.0
"""What `systemd-analyze security` may say of the strict profile at the most."""

bare: dict[str, set[tuple[str, str]]] = {}
"""What the host was like before anything was installed."""


def test_a_server_that_is_away_is_named_by_install(host: Host) -> None:
    bare["files"] = settled(host)
    bare["users"] = {(line, "") for line in host.machine.call("getent", "passwd").splitlines()}
    nobody = "http://127.0.0.1:9"
    words = ["--server", nobody, "--token-file", host.token_file(), "--deadline", "5s"]

    def refused() -> bool:
        done = host.agent("service", "install", *words)
        assert done.returncode == 1 and "not online" in done.stderr, said(done)
        return "127.0.0.1:9" in done.stderr

    # On a slow machine it has not yet tried to connect after so short a time.
    until(refused, "it names the server")
    # It goes on trying, and is no failure to systemd: the server may come.
    assert host.machine.show(UNIT, "ActiveState") == "activating"


def test_install_registers_by_credential_and_ends_online(host: Host) -> None:
    printed = host.service("install", "--server", URL, "--token-file", "/root/token")
    assert "online" in printed and "profile strict" in printed
    assert host.machine.show(UNIT, "User") == "remote-agent"
    assert host.machine.show(UNIT, "UnitFileState") == "enabled"
    pid = host.pid()
    for place in ("environ", "cmdline"):
        assert "rrt_" not in host.machine.call("cat", f"/proc/{pid}/{place}")
    assert ("/etc/remote-agent/token", "-rw------- 0 0") in settled(host)
    assert '"link": "online"' in host.agent("status", "-o", "json").stdout


def test_install_again_changes_nothing(host: Host) -> None:
    pid, files = host.pid(), settled(host)
    assert "installed already" in host.service("install")
    assert host.pid() == pid
    assert not {path for path, _ in settled(host) ^ files if not path.startswith(STATE)}
    assert "active, starts with the host" in host.service("status")


def test_the_units_are_right_and_strict(host: Host) -> None:
    host.machine.call("systemd-analyze", "verify", UNIT, JOBS)
    # In percent there.
    limit = str(int(STRICTEST * 10))
    host.machine.call("systemd-analyze", "security", f"--threshold={limit}", UNIT)


def test_a_job_runs_in_the_group_of_jobs_and_within_the_profile(host: Host) -> None:
    script = "cat /proc/$$/cgroup; grep NoNew /proc/$$/status; env; touch /usr/x /etc/x; ls /root"
    job = host.submit(script)
    assert host.ended(job)["exit_code"] == 2
    text = host.log(job)
    assert f"0::/remote.slice/{units.SLICE}/{JOBS}/agent" in text
    assert "NoNewPrivs:\t1" in text
    for secret in ("CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG", "rat_"):
        assert secret not in text
    assert not {"/usr/x", "/etc/x"} & {path for path, _ in settled(host)}
    # Nothing but the agent is in its own group: systemd can always start it again there.
    group = host.machine.call("systemctl", "show", UNIT, "-p", "ControlGroup", "--value").strip()
    inside = f"/sys/fs/cgroup{group}/cgroup.procs"
    until(
        lambda: host.machine.call("cat", inside).split() == [str(host.pid())],
        "what the agent has just started has left its group",
    )


def test_a_job_with_a_limit_has_a_group_of_its_own(host: Host) -> None:
    """This machine's kernel has no controllers of version 2 to give away: the group is refused, and
    the limit is watched. Where it has them, the group is there."""
    job = host.submit("cat /proc/self/cgroup; sleep 1", "--memory", "64MiB")
    found = host.ended(job)
    controllers = host.machine.call("cat", "/sys/fs/cgroup/cgroup.controllers").split()
    assert found["state"] == "succeeded"
    assert (f"{JOBS}/job-" in host.log(job)) == ("memory" in controllers)


def test_a_killed_agent_comes_back_to_its_job(host: Host) -> None:
    job = host.writing()
    pid = host.pid()
    host.machine.call("kill", "-KILL", pid)
    host.online(other_than=pid)
    host.let_finish()
    host.has_finished(job)


def test_the_watchdog_restarts_an_agent_that_hangs(host: Host) -> None:
    drop_in = f"/run/systemd/system/{UNIT}.d"
    host.machine.call("mkdir", "-p", drop_in)
    host.machine.call("sh", "-c", f"printf '[Service]\\nWatchdogSec=10s\\n' > {drop_in}/quick.conf")
    host.machine.call("systemctl", "daemon-reload")
    host.service("restart")
    job = host.writing()
    pid = host.pid()
    host.machine.call("kill", "-STOP", pid)
    host.online(other_than=pid)
    until(
        lambda: "Watchdog timeout" in host.machine.call("journalctl", "-u", UNIT, "-o", "cat"),
        "systemd says why",
    )
    host.let_finish()
    host.has_finished(job)
    # One that turns is left alone: longer than the interval, with a job.
    pid = host.pid()
    host.is_whole(host.submit(writer(LINES, 0.2)), LINES)
    assert host.pid() == pid
    host.machine.call("rm", "-r", drop_in)
    host.machine.call("systemctl", "daemon-reload")


def test_restarts_and_an_upgrade_under_load_lose_nothing(host: Host) -> None:
    host.service("restart")
    jobs = [host.writing() for _ in range(4)]
    old = host.pid()
    host.service("restart")
    host.machine.call("systemctl", "reload", UNIT)
    printed = host.service("install", version=2)
    assert "/opt/remote/2/bin/remote-agent" in printed
    new = host.online(other_than=old)
    assert host.status()["version"] == "0.2.0" and host.pid() == new
    host.let_finish()
    for job in jobs:
        host.has_finished(job)
    # Spare shims of the old version are gone with its agent.
    left = until(
        lambda: "/opt/remote/1/" not in host.machine.call("systemctl", "status", JOBS),
        "nothing of the old version runs",
    )
    assert left


def test_stopping_leaves_jobs_and_starting_finds_them(host: Host) -> None:
    job = host.writing()
    assert "its jobs run on" in host.service("stop")
    assert host.machine.run("systemctl", "is-active", UNIT).stdout.strip() == "inactive"
    assert host.agent("service", "status").returncode == 1
    host.service("start")
    host.let_finish()
    host.has_finished(job)


def test_a_job_that_leaves_the_group_of_jobs_is_killed_with_them(host: Host) -> None:
    """Where the kernel lets it: a slice with controllers takes no processes."""
    group = f"/sys/fs/cgroup/remote.slice/{units.SLICE}/cgroup.procs"
    job = host.running(host.submit(f"echo $$ 2>/dev/null >{group}; echo $$; sleep 600"))
    process = f"/proc/{int(host.log(job))}"
    assert host.machine.run("test", "-e", process).returncode == 0
    assert "its jobs were killed" in host.service("stop", "--now")
    until(lambda: host.machine.run("test", "-e", process).returncode, "it is dead")
    assert host.machine.show(JOBS, "ActiveState") == "inactive", "not failed"
    host.service("start")
    assert host.ended(job)["state"] == "failed"


def test_a_drained_agent_stays_away_until_it_is_started(host: Host) -> None:
    assert host.agent("drain").returncode == 0
    until(
        lambda: host.machine.run("systemctl", "is-active", UNIT).stdout.strip() == "inactive",
        "the service has ended",
    )
    host.service("start")
    host.is_whole(host.submit(writer(50)), 50)


def test_jobs_of_users_of_their_own_cannot_reach_the_token(host: Host) -> None:
    assert "profile users" in host.service("install", "--profile", "users", version=2)
    spies = f"{STATE}/identity.json /run/credentials/{UNIT}/token /etc/remote-agent/token"
    job = host.submit(f"id -u; cat {spies}; ls {STATE}; kill -0 {host.pid()}; true")
    assert host.ended(job)["state"] == "succeeded"
    assert host.log(job).split() == ["80000"], "anything else is what it should not have read"
    score = host.machine.call("systemd-analyze", "security", "--no-pager", UNIT)
    assert "Overall exposure level" in score
    assert "profile strict" in host.service("install", "--profile", "strict", version=2)
    assert host.machine.run("test", "-e", f"/etc/systemd/system/{UNIT}.d").returncode == 1


def test_a_rebooted_host_is_online_by_itself(host: Host) -> None:
    job = host.running(host.submit(writer(100_000, 1.0)), 200)
    host.machine.reboot()
    host.start_server()
    host.online()
    found = host.ended(job)
    assert (found["state"], found["end_reason"]) == ("failed", "lost"), found
    # The container has a number of its own for each boot; the service's /proc shows the machine's.
    assert found["end_detail"] in ("the host restarted", "the shim died")
    host.is_whole(host.submit(writer(50)), 50)


def test_uninstall_keeps_what_the_server_does_not_have(host: Host) -> None:
    job = host.writing()
    pid = host.pid()
    done = host.agent("service", "uninstall", version=2)
    assert done.returncode == 1 and job in done.stderr and "--force" in done.stderr, said(done)
    assert host.pid() == pid
    host.let_finish()
    host.has_finished(job)


def test_uninstall_leaves_nothing_and_says_what_it_removed(host: Host) -> None:
    printed = host.service("uninstall", version=2)
    for path in (f"/etc/systemd/system/{UNIT}", STATE, "/etc/remote-agent/token", "user remote-"):
        assert f"removed  {path}" in printed
    assert "has left" in printed
    same(settled(host), bare["files"], "/root/token", FINISH)
    users = {(line, "") for line in host.machine.call("getent", "passwd").splitlines()}
    same(users, bare["users"])
    assert host.machine.run("systemctl", "cat", UNIT).returncode != 0
    units_left = host.machine.call("systemctl", "list-units", "--all", "--no-legend")
    assert "remote-agent" not in units_left
    assert "nothing to do" in host.service("uninstall")
    assert host.ctl("agent", "list", "-q") == ""


def test_uninstall_works_offline_and_on_half_of_an_installation(host: Host) -> None:
    host.service("install", "--server", URL, "--token-file", host.token_file())
    host.machine.call("systemctl", "stop", "test-server")
    host.machine.call("rm", f"/etc/systemd/system/{JOBS}", "/etc/remote-agent/agent.env")
    printed = host.service("uninstall")
    assert "it still lists this agent" in printed and "remotectl agent delete" in printed
    host.machine.call("mkdir", "-p", f"{STATE}/attempts")
    host.machine.call("sh", "-c", f"echo broken > {STATE}/identity.json")
    assert STATE in host.service("uninstall")
    same(settled(host), bare["files"], "/root/token", FINISH)


def test_what_cannot_work_is_named_and_half_of_it_is_taken_back(host: Host) -> None:
    files = settled(host)
    host.machine.call("cp", "-a", "/opt/remote/1", "/home/programs")
    python = "/home/programs/bin/python3"
    done = host.machine.run(python, "-m", "remote_agent", "service", "install")
    assert done.returncode == 1
    assert "hides /home/" in done.stderr or "below /opt" in done.stderr, said(done)
    done = host.agent("service", "install", "--user", "nobody-of-this-name")
    assert done.returncode == 2 and "no user nobody-of-this-name" in done.stderr
    done = host.agent("service", "install", "--profile", "lax")
    assert done.returncode == 2 and "strict, users, open" in done.stderr
    host.machine.call("rm", "-r", "/home/programs")
    # Account and state directory were made before the program was tried as that account.
    assert "removed  user remote-agent" in host.service("uninstall")
    same(settled(host), files)
