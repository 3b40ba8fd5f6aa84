"""Other users: who they are, becoming one, ending what is left of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from remote_agent.processes import kill_user
from remote_agent.processes import posix_users as users
from tests.support.powerless import powerless
from tests.support.shim_harness import eventually

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")
SOMEBODY = 81234


def test_accounts() -> None:
    me = users.account(str(os.getuid()))
    assert me == users.account(me.name) and me.uid == os.getuid() and me.gid in me.groups
    for name in ("nosuchuser", "4294967000"):
        with pytest.raises(KeyError):
            users.account(name)
    made = users.unnamed_account(SOMEBODY)
    assert made[:4] == (f"job-{SOMEBODY}", SOMEBODY, SOMEBODY, (SOMEBODY,)) and made.home == ""
    assert me.name in users.accounts_between(me.uid, me.uid)
    assert users.accounts_between(SOMEBODY, SOMEBODY) == []


def test_an_account_has_no_more_groups_than_a_process_may_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.getgrouplist", lambda name, group: list(range(40)))
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_NGROUPS_MAX": 16}[name])
    assert users.account(str(os.getuid())).groups == tuple(range(16))


def test_powers() -> None:
    if not os.geteuid():
        assert users.missing_privileges() == []

    def without() -> None:
        missing = users.missing_privileges()
        assert {"CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_KILL"} <= set(missing)

    powerless(without)


_BECOME = """
import os, sys
from remote_agent.processes import switch_user
switch_user(81234, 81235, [81235, 81236], sys.argv[1] == "alone")
print(os.getresuid(), os.getresgid(), sorted(os.getgroups()))
status = dict(l.split(":", 1) for l in open("/proc/self/status") if ":" in l)
print(*(status[n].strip() for n in ("CapEff", "CapPrm", "CapAmb", "NoNewPrivs")))
try:
    os.setuid(0)
except PermissionError:
    print("for good")
"""


@needs_root
@pytest.mark.parametrize("alone", [True, False])
def test_becoming_somebody_is_for_good(alone: bool) -> None:
    words = [sys.executable, "-c", _BECOME, "alone" if alone else "not"]
    shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert shown[0] == "(81234, 81234, 81234) (81235, 81235, 81235) [81235, 81236]"
    none = "0" * 16
    assert shown[1:] == [f"{none} {none} {none} {int(alone)}", "for good"]


@needs_root
def test_whether_somebody_can_enter(tmp_path: Path) -> None:
    somebody = users.unnamed_account(SOMEBODY)
    assert users.can_enter("/", somebody) and not users.can_enter(str(tmp_path), somebody)


@needs_root
def test_a_tree_is_given_away_and_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "t" / "a").mkdir(parents=True)
    (tmp_path / "t" / "a" / "f").touch()
    (tmp_path / "mine").touch()
    (tmp_path / "t" / "link").symlink_to(tmp_path / "mine")
    users.chown_tree(str(tmp_path / "t"), SOMEBODY, SOMEBODY)
    for name in ("t", "t/a", "t/a/f", "t/link"):
        assert (tmp_path / name).lstat().st_uid == SOMEBODY, name
    assert (tmp_path / "mine").stat().st_uid == os.getuid()


@needs_root
def test_everything_of_a_user_is_killed_and_nothing_else() -> None:
    words = ["sh", "-c", "setsid env -i sleep 60 & sleep 60"]
    with (
        subprocess.Popen(words, user=SOMEBODY, start_new_session=True) as theirs,
        subprocess.Popen(["sleep", "60"], user=SOMEBODY + 1) as other,
    ):
        try:
            eventually(lambda: len(of(SOMEBODY)) == 3, what="three of them")
            assert {SOMEBODY, SOMEBODY + 1} <= users.living_users()
            assert kill_user(SOMEBODY) == 3
            theirs.wait(20)
            assert other.poll() is None and kill_user(SOMEBODY) == 0
        finally:
            other.kill()
    assert SOMEBODY + 1 not in users.living_users() and users.users_of(1 << 30) == set()


def of(uid: int) -> list[int]:
    return [pid for pid in users.pids() if uid in users.users_of(pid)]
