"""Containers by a command line shaped like docker's: how they run, end and are removed. What a real
engine does with the same calls is in `tests/containers`."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_agent.shim.order import Order, OrderError
from remote_agent.shim.workload.container import ContainerWorkload
from tests.support.fake_engine import finish, install, options
from tests.support.shim_harness import Run, ShimHarness, eventually, gone, running, tell

IMAGE = "debian:12"


@pytest.fixture
def engine(harness: ShimHarness, tmp_path: Path) -> Iterator[Path]:
    """Finished before the shims end, so that none of them waits for it after a test that failed."""
    engine = install(tmp_path / "engine")
    try:
        yield engine
    finally:
        finish(engine)


def sh(text: str, image: str = IMAGE) -> list[str]:
    return [image, "sh", "-c", text]


def calls(engine: Path) -> list[str]:
    return (engine.parent / "calls").read_text().splitlines()


def begun(harness: ShimHarness, engine: Path, text: str, **fields: Any) -> Path:
    """The directory of an attempt whose container has printed `up`."""
    directory = harness.start(sh(text), **fields, **options(engine))
    log = directory / "output.log"
    eventually(lambda: log.exists() and b"up" in log.read_bytes())
    return directory


def inside(engine: Path, name: str = "remote-job-1") -> int:
    """The process of a container."""
    path = engine.parent / f"{name}.json"
    return int(eventually(lambda: json.loads(path.read_text())["pid"]))


def test_it_runs_with_its_input_output_and_end(harness: ShimHarness, engine: Path) -> None:
    script = 'read line; echo "got $line"; echo oops >&2; exit 7'
    run = harness.run(sh(script), payload=b"input\n", **options(engine))
    assert (run.code, run.reason, run.stdout, run.stderr) == (7, "exit", b"got input\n", b"oops\n")
    made, ran, asked, removed = calls(engine)
    assert made.startswith(
        "create --name remote-job-1 --pull=missing --log-driver=none --stop-timeout=0 "
    )
    assert made.endswith(f"{IMAGE} sh -c {script}") and " --interactive " in made
    assert ran == "start --attach --interactive remote-job-1"
    assert asked.startswith("inspect") and removed == "rm --force --volumes remote-job-1"
    started = json.loads((run.directory / "started.json").read_text())
    assert started["container"] == "remote-job-1"
    steps = [step["detail"] for step in run.record["steps"] if step["what"] == "container"]
    assert steps == [f"remote-job-1 was made of the image {IMAGE}"]


def test_secrets_as_files_are_shown_to_it_read_only(
    harness: ShimHarness, engine: Path, tmp_path: Path
) -> None:
    memory = tmp_path / "a,memory"
    memory.mkdir()
    directory = harness.make(
        sh('echo "$TOKEN_FILE"'),
        secrets=[],
        secret_files=["TOKEN"],
        secret_prefix=f"{memory}/x-",
        **options(engine),
    )
    harness.shims.request(directory, {"TOKEN": "do-not-show"})
    run = Run(directory, harness.ended(directory))
    assert run.stdout == b"/run/remote-secrets/TOKEN\n"
    made = calls(engine)[0]
    assert f'--mount type=bind,"source={memory}/x-' in made
    assert '/files",target=/run/remote-secrets,readonly' in made and "do-not-show" not in made
    assert list(memory.iterdir()) == []


def test_variables_reach_it_and_no_command_line(harness: ShimHarness, engine: Path) -> None:
    env = {"A": "b=c d", "LONG": "x" * 40_000, "LINES": "one\ntwo", "REMOTE_JOB_ID": "J"}
    script = 'echo "$A ${#LONG} $LINES $REMOTE_JOB_ID"'
    directory = harness.make(sh(script), env=env, secrets=["TOKEN"], **options(engine))
    harness.shims.request(directory, {"TOKEN": "do-not-show"})
    run = Run(directory, harness.ended(directory))
    assert run.stdout == b"b=c d 40000 one\ntwo J\n"
    found = json.dumps(calls(engine))
    assert "b=c d" not in found and "do-not-show" not in found and "two" not in found


def obstinate(harness: ShimHarness, engine: Path) -> Path:
    """The directory of an attempt whose container notes SIGTERM in `said` and goes on, and is being
    stopped."""
    script = f"trap 'echo no; : > {engine.parent}/said' TERM; echo up; while :; do sleep 0.02; done"
    directory = begun(harness, engine, script)
    inside(engine)
    assert tell(directory, {"do": "stop", "detail": "enough", "grace": 0.3})
    return directory


def interrupted_and_killed(run: Run) -> bool:
    """Whether it has heard SIGTERM and died of SIGKILL."""
    assert (run.code, run.reason) == (137, "cancelled")
    assert run.detail == "enough; killed by SIGKILL after SIGTERM and a grace period of 300ms"
    interrupt = next(step for step in run.record["steps"] if step["what"] == "interrupt")
    assert interrupt["detail"] == "SIGTERM to the container: enough"
    return b"no" in run.stdout


def test_it_is_interrupted_and_then_killed(harness: ShimHarness, engine: Path) -> None:
    slow = engine.parent / "slow-SIGKILL"
    slow.touch()
    directory = obstinate(harness, engine)
    process = inside(engine)
    # The grace period may be over before the job has answered.
    eventually((engine.parent / "said").exists)
    slow.unlink()
    assert interrupted_and_killed(Run(directory, harness.ended(directory)))
    gone(process)


def test_an_engine_slower_than_the_grace_period_interrupts_it_nevertheless(
    harness: ShimHarness, engine: Path
) -> None:
    slow = {name: engine.parent / f"slow-{name}" for name in ("SIGTERM", "SIGKILL")}
    for file in slow.values():
        file.touch()
    directory = obstinate(harness, engine)
    eventually(lambda: "kill --signal=SIGKILL remote-job-1" in calls(engine))
    slow["SIGTERM"].unlink()
    eventually((engine.parent / "said").exists)
    slow["SIGKILL"].unlink()
    assert interrupted_and_killed(Run(directory, harness.ended(directory)))


def test_a_signal_that_the_engine_has_not_sent_is_not_waited_for(
    harness: ShimHarness, engine: Path
) -> None:
    (engine.parent / "slow-SIGTERM").touch()
    directory = obstinate(harness, engine)
    run = Run(directory, harness.ended(directory))
    assert not interrupted_and_killed(run)
    assert calls(engine)[-1] == "rm --force --volumes remote-job-1"
    assert run.record["clean"] is True and "survivors" not in run.steps


def test_a_pull_is_ended_with_its_job(harness: ShimHarness, engine: Path) -> None:
    (engine.parent / "slow-registry").touch()
    directory = harness.start(sh("true"), timeout=0.2, **options(engine))
    run = Run(directory, harness.ended(directory))
    assert run.reason == "timeout"
    assert run.detail.startswith("timeout of 200ms reached; its container had not been started")
    assert not any(call.startswith("start") for call in calls(engine))


def test_the_engines_memory_limit(harness: ShimHarness, engine: Path) -> None:
    (engine.parent / "oom").touch()
    run = harness.run(sh("kill -KILL $$"), memory_limit=64 << 20, **options(engine))
    assert (run.code, run.reason) == (137, "memory_limit")
    assert run.detail == "killed: memory limit 64 MiB reached"


def test_a_code_above_128_that_nobody_asked_for_is_an_exit(
    harness: ShimHarness, engine: Path
) -> None:
    run = harness.run(sh("exit 143"), **options(engine))
    assert (run.code, run.reason) == (143, "exit")
    assert run.detail == "exited with code 143, as after SIGTERM"


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (sh("true", "nosuch:1"), 125, "No such image: nosuch:1; this host does not have the image"),
        (sh("true", "private:1"), 125, "(docker login)"),
        ([IMAGE, "nosuch"], 127, f"program 'nosuch' not found in the image {IMAGE}"),
    ],
)
def test_what_keeps_it_from_running(
    harness: ShimHarness, engine: Path, argv: list[str], code: int, words: str
) -> None:
    run = harness.run(argv, **options(engine))
    assert (run.code, run.reason) == (code, "spawn_error") and words in run.detail
    assert calls(engine)[-1].startswith("rm --force")


def test_an_engine_that_is_gone(harness: ShimHarness, tmp_path: Path) -> None:
    run = harness.run(sh("true"), **options(tmp_path / "none" / "docker"))
    assert (run.code, run.reason) == (126, "spawn_error")
    assert "install it again, or name another one in [containers] engine" in run.detail


def test_it_is_never_made_twice(harness: ShimHarness, engine: Path) -> None:
    (engine.parent / "stuck").touch()
    first = harness.run(sh("true"), **options(engine))
    assert first.record["clean"] is False
    assert "could not be removed: removal is already in progress; the agent tries again" in (
        first.record["steps"][-2]["detail"] + first.record["steps"][-1]["detail"]
    )
    second = harness.run(sh("true"), **options(engine))
    assert second.reason == "spawn_error" and "is in use" in second.detail


def test_it_does_not_outlive_the_client_that_carries_its_output(
    harness: ShimHarness, engine: Path
) -> None:
    directory = begun(harness, engine, "echo up; sleep 600")
    process = inside(engine)
    started = json.loads((directory / "started.json").read_text())
    (client,) = [
        int(path.name)
        for path in Path("/proc").glob("[0-9]*")
        if path.joinpath("cmdline").exists()
        and path.joinpath("cmdline").read_bytes().endswith(b"\0start\0--attach\0remote-job-1\0")
        and f"\nPPid:\t{started['shim_pid']}\n" in path.joinpath("status").read_text()
    ]
    os.kill(client, signal.SIGKILL)
    run = Run(directory, harness.ended(directory))
    assert run.reason == "lost"
    assert "has ended (killed by SIGKILL) while the container ran" in run.detail
    gone(process)


def test_a_full_spool_makes_it_wait(harness: ShimHarness, engine: Path) -> None:
    directory = harness.start(
        sh("head -c 5000000 /dev/zero"), segment_size=500_000, segments=3, **options(engine)
    )
    closed = lambda: sorted(directory.glob("output.0*"))  # noqa: E731
    eventually(lambda: len(closed()) == 3)
    assert running(inside(engine))
    while not (directory / "exit.json").exists():
        for path in closed()[:-1]:
            path.unlink()
        eventually(lambda: (directory / "exit.json").exists() or len(closed()) > 1)
    assert harness.ended(directory)["usage"]["stdout_bytes"] == 5_000_000


def test_an_order_without_its_options_is_refused(harness: ShimHarness) -> None:
    with pytest.raises(OrderError, match="lacks 'engine'"):
        ContainerWorkload(Order("J.1", ["x"], {}, "/", workload="container"), guarded=True)
