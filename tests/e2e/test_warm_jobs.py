"""Jobs forked from a warm interpreter: as started ones in all that they see, and quicker."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from remote_protocol.states import EndReason, JobState
from tests.support.stack import Stack, until
from tests.support.venvs import heavy_module, packages_of
from tests.support.warm import Warm
from tests.support.wheels import make_wheel


@pytest.fixture
def warm(stack: Stack, tmp_path: Path) -> Warm:
    return Warm(stack, tmp_path)


def test_jobs_are_forked_from_one_process_that_has_imported(warm: Warm) -> None:
    script = "import heavy, os; print(os.getppid(), heavy.COUNT); heavy.COUNT[0] += 1"
    jobs = [warm.submit(script) for _ in range(4)]
    for job in jobs:
        view, out, err = warm.ended(job)
        assert (view.state, err) == (JobState.SUCCEEDED, ""), (view.end_detail, err)
        assert "[0]" in out, "nothing of another job is there"
        assert "forked from a warm interpreter" in warm.told(job)
    assert len(warm.importers()) == 1


DESCRIBE = """
import json, os, random, signal, sys, tempfile
said = {
    "argv": sys.argv[1:], "script": os.path.basename(sys.argv[0]), "path": sys.path,
    "file": os.path.basename(__file__), "name": __name__,
    "main": sys.modules["__main__"].__dict__ is globals(),
    "env": {k: v for k, v in os.environ.items() if k not in ("REMOTE_JOB_ID", "TRACEPARENT")},
    "cwd": os.getcwd(), "prefix": sys.prefix, "exe": sys.executable,
    "files": sorted(int(f) for f in os.listdir("/proc/self/fd"))[:-1],
    "umask": os.umask(0o077), "pgid": os.getpgid(0) == os.getpid(),
    "sid": os.getsid(0) == os.getpid(),
    "signals": {n.name: str(signal.getsignal(n)) for n in signal.Signals},
    "temp": tempfile.gettempdir(), "input": sys.stdin.read(),
    "unbuffered": sys.stdout.write_through,
    "blocked": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))),
    "nofile": __import__("resource").getrlimit(__import__("resource").RLIMIT_NOFILE),
    "oom": open("/proc/self/oom_score_adj").read(),
    "owner": os.stat("/proc/self/environ").st_uid == os.getuid(),
}
print(json.dumps(said, sort_keys=True).replace(os.environ["REMOTE_JOB_ID"], "JOB"))
"""


def test_a_forked_job_sees_what_a_started_one_sees(warm: Warm) -> None:
    fields: dict[str, object] = {"args": ["a", "ü"], "env": {"X": "1"}, "filename": "tell.py"}
    forked, started = warm.submit(DESCRIBE, **fields), warm.submit(DESCRIBE, **fields, preload=[])
    (view, one, err), (_, other, _) = warm.ended(forked), warm.ended(started)
    assert view.state is JobState.SUCCEEDED, err
    assert warm.told(forked).startswith("forked") and warm.told(started) == ""
    assert one == other


def test_ends_are_told_as_those_of_any_process(warm: Warm) -> None:
    view, _, err = warm.run("import sys; sys.exit(7)")
    assert (view.exit_code, view.end_reason, err) == (7, EndReason.EXIT, "")
    view, _, err = warm.run("def f():\n    1 / 0\nf()\n", filename="wrong.py")
    assert view.exit_code == 1 and "ZeroDivisionError" in err and "interpreter.py" not in err
    assert 'wrong.py", line 2, in f' in err
    view, _, _ = warm.run("import os; os.kill(os.getpid(), 9)")
    assert (view.exit_code, view.end_reason) == (137, EndReason.SIGNAL)
    view, _, err = warm.run("import sys; sys.exit('no luck')")
    assert (view.exit_code, err) == (1, "no luck\n")
    view, out, _ = warm.run(
        "import atexit, threading, time\natexit.register(print, 'last')\n"
        "threading.Timer(0.1, print, ['late']).start()\n"
    )
    assert (view.exit_code, out) == (0, "late\nlast\n")


def test_a_module_runs_with_its_input_and_arguments(warm: Warm) -> None:
    (packages_of(warm.venv) / "tool.py").write_text(
        "import sys\nprint(__name__, sys.argv[1:], sys.stdin.read())\n"
    )
    given = warm.venv / "given"
    given.write_bytes(b"given")
    with (
        given.open() as stdin,
        warm.stack.ctl_start(
            *("run", "--python", "--environment", "heavy", "--preload", "heavy"),
            *("--module", "tool", "--stdin", "--", "x"),
            stdin=stdin,
        ) as done,
    ):
        out, err = done.communicate(timeout=60)
    assert (done.returncode, out) == (0, b"__main__ ['x'] given\n"), err


def test_modules_see_the_variables_that_are_for_them(warm: Warm) -> None:
    script = "import heavy, os; print(heavy.SEEN.get('A'), heavy.SEEN.get('B'), os.environ['B'])"
    for value in ("1", "2", "1"):
        job = warm.submit(script, env={"A": value, "B": "b"}, preload_env=["A"])
        view, out, err = warm.ended(job)
        assert (view.exit_code, out) == (0, f"{value} None b\n"), err
        assert warm.told(job).startswith("forked")
    assert len(warm.importers()) == 2


def test_a_timeout_ends_the_whole_tree(warm: Warm, tmp_path: Path) -> None:
    file = tmp_path / "pids"
    script = f"""
import os, subprocess, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        pass
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
with open({str(file)!r}, "a") as f:
    f.write(f"{{os.getpid()}} {{child.pid}}\\n")
time.sleep(600)
"""
    # Where the machine is busy, its three processes begin later than the first timeouts.
    for timeout in (1.5, 6, 24):
        file.write_text("")
        view, _, _ = warm.run(script, timeout=timeout, grace_period=0.1)
        assert view.end_reason is EndReason.TIMEOUT
        pids = [int(pid) for pid in file.read_text().split()]
        assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
        if len(pids) == 6:
            break
    assert len(pids) == 6
    assert view.usage is not None and view.usage.max_rss


def test_what_a_job_leaves_behind_is_swept(warm: Warm) -> None:
    view, out, _ = warm.run(
        "import subprocess; print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid)"
    )
    assert view.state is JobState.SUCCEEDED
    assert not os.path.exists(f"/proc/{int(out)}")


def test_a_cancel_is_polite_first(warm: Warm) -> None:
    job = warm.submit(
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit('bye'))\n"
        "print('up')\ntime.sleep(600)\n"
    )
    warm.stack.prints(job, b"up")
    warm.stack.client.cancel(job)
    view, _, err = warm.ended(job)
    assert (view.state, err) == (JobState.CANCELLED, "bye\n")


def test_a_package_that_changes_has_another_interpreter(warm: Warm) -> None:
    assert warm.run("import heavy")[0].exit_code == 0
    (packages_of(warm.venv) / "later.py").write_text("")
    assert warm.run("import heavy")[0].exit_code == 0
    assert len(set(warm.importers())) == 2


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("import nothing_of_this_name", "cannot be imported"),
        ("import threading; threading.Thread(target=lambda: threading.Event().wait(),"
         " daemon=True).start()", "start threads"),
        ("import socket; S = socket.create_server(('127.0.0.1', 0))", "open connections"),
        ("raise SystemExit(3)", "cannot be imported"),
        ("import os; os._exit(3)", "died while it imported"),
    ],
)  # fmt: skip
def test_what_cannot_be_forked_starts_as_ever(warm: Warm, body: str, why: str) -> None:
    (packages_of(warm.venv) / "odd.py").write_text(body)
    job = warm.submit("print('started')", preload=["odd"])
    view, out, err = warm.ended(job)
    assert (view.exit_code, out) == (0, "started\n"), err
    assert warm.told(job).startswith("not forked from a warm interpreter")
    until(lambda: why in warm.agent.words(), f"the agent says {why}")


def test_an_agent_without_the_environment_says_so(warm: Warm) -> None:
    job = warm.submit("print(1)", environment="other")
    view, _, _ = warm.ended(job)
    assert view.end_reason is EndReason.REJECTED
    assert "no environment 'other': it has heavy" in str(view.end_detail)


def test_warm_interpreters_can_be_switched_off(stack: Stack, tmp_path: Path) -> None:
    warm = Warm(stack, tmp_path, more="warm = 0\n")
    job = warm.submit("import heavy, sys; print(sys.prefix)")
    view, out, _ = warm.ended(job)
    assert (view.exit_code, out) == (0, f"{warm.venv}\n")
    assert warm.told(job) == ""


def test_what_a_job_has_prepared_later_ones_are_forked_in(stack: Stack, tmp_path: Path) -> None:
    wheels, imports = tmp_path / "wheels", tmp_path / "imports"
    make_wheel(wheels, "heavy", "1.0", heavy_module(imports))
    interpreter = os.path.realpath(sys.executable)
    table = f'[python]\ninterpreter = "{interpreter}"\noffline = true\nfind_links = "{wheels}"\n'
    warm = Warm(stack, tmp_path, table=table)
    script = (
        "import heavy, os, sys\nprint(sys.prefix, os.environ['VIRTUAL_ENV'])\n"
        "print(os.environ['PATH'].split(':')[0], flush=True)\n"
    )
    said = []
    for number in range(3):
        job = warm.submit(script, environment=None, requirements=["heavy"])
        view, out, err = warm.ended(job)
        assert view.state is JobState.SUCCEEDED, (view.end_detail, err)
        assert warm.told(job).startswith("forked" if number else "not forked")
        said.append(out)
        prefix, place, programs = out.split()
        assert prefix == place and programs == f"{place}/bin"
    assert len(set(said)) == 1 and len(set(warm.importers())) == 2
