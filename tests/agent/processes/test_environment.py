"""A job's environment holds what it should, and no credential."""

from __future__ import annotations

import os
import sys

from remote_agent.processes import child_env, inherited_env, may_have_proxy


def test_only_listed_names_pass() -> None:
    environ = {
        "PATH": "/bin",
        "HOME": "/home/x",
        "LC_ALL": "C",
        "AWS_SECRET_ACCESS_KEY": "s",
        "HTTPS_PROXY": "http://user:password@proxy",
        "REMOTE_AGENT_TOKEN": "rat_x",
        "REMOTE_TOKEN": "rpt_x",
        "PYTHONPATH": "/x",
        "LD_LIBRARY_PATH": "/x",
        "INVOCATION_ID": "1",
    }
    env = inherited_env(environ)
    assert env["PATH"] == "/bin" and env["HOME"] == "/home/x" and env["LC_ALL"] == "C"
    assert set(env) == {"PATH", "HOME", "LC_ALL", "USER", "LOGNAME"}
    assert "PYTHONPATH" in inherited_env(environ, ["PYTHONPATH"])
    assert "REMOTE_AGENT_TOKEN" not in inherited_env(environ, environ)


def test_the_attempt_wins_over_the_job_and_the_job_over_the_host() -> None:
    inherited = inherited_env({"PATH": "a", "TZ": "a"})
    env = child_env(inherited, {"TZ": "b", "REMOTE_JOB_ID": "b"}, {"REMOTE_JOB_ID": "c"})
    assert (env["PATH"], env["TZ"], env["REMOTE_JOB_ID"]) == ("a", "b", "c")
    assert inherited["TZ"] == "a", "the next job inherits what this one did"


def test_a_bare_service_has_a_path_and_a_home() -> None:
    env = child_env(inherited_env({}))
    assert env["PATH"] == os.defpath and env["HOME"] and env["USER"]


def test_a_proxy_is_looked_for_where_one_may_be_set() -> None:
    # The systems of macOS and Windows have settings of their own.
    asks = sys.platform in ("darwin", "win32")
    assert may_have_proxy({"PATH": "/bin"}) is asks
    for name in ("https_proxy", "HTTPS_PROXY", "All_Proxy"):
        assert may_have_proxy({name: ""})
