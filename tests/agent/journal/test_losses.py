"""Attempts without a word of their shim: what is left is killed, what is there is measured."""

from __future__ import annotations

import subprocess
from pathlib import Path
from zlib import crc32

from remote_agent.journal.directory import StartRecord, ended_from
from remote_agent.journal.losses import kill_rest, killed_words, lost, measure
from remote_agent.processes import start_time
from remote_protocol.states import EndReason
from tests.support.fake_server import new_key
from tests.support.stack import until


def sleeping(**env: str) -> subprocess.Popen[bytes]:
    """A process with this environment, in a session of its own."""
    process = subprocess.Popen(["sleep", "60"], env=env, start_new_session=True)
    # exec(2) lets Popen go on before the kernel has a new environment to show.
    until(Path(f"/proc/{process.pid}/environ").read_bytes, "its environment is there")
    return process


def test_what_is_left_of_the_job_is_killed_and_nothing_else() -> None:
    mine, other = new_key(), new_key()
    processes = [
        sleeping(REMOTE_JOB_ID=key.job, REMOTE_ATTEMPT=str(key.number)) for key in (mine, other)
    ]
    try:
        assert kill_rest(mine, None) == 1
        assert processes[0].wait(20) == -9 and processes[1].poll() is None
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert killed_words(0) == "" and "2 processes" in killed_words(2)


def test_a_log_is_measured_as_far_as_it_can_be(tmp_path: Path) -> None:
    key = new_key()
    assert measure(tmp_path, key) == (0, 0)
    (tmp_path / "output.log").write_bytes(b"abc")
    assert measure(tmp_path, key) == (3, crc32(b"abc"))
    (tmp_path / f"output.{0:020}.log").symlink_to("/etc/passwd")
    assert measure(tmp_path, key) == (3, crc32(b"abc")), "a link is no segment"
    assert measure(tmp_path / "output.log", key) == (0, 0)


def test_the_record_of_a_loss() -> None:
    ended = ended_from(new_key(), lost("the shim died", 3, 4, None))
    assert (ended.end_reason, ended.size, ended.checksum) == (EndReason.LOST, 3, 4)
    assert ended.exit_code is None and ended.end_detail == "the shim died"


def test_what_was_forked_is_known_by_the_mark_of_its_interpreter() -> None:
    key = new_key()
    with sleeping(REMOTE_INTERPRETER="m") as process:
        started = StartRecord(
            process.pid, str(start_time(process.pid)), 2, "boot", 1.0, None, "other"
        )
        assert kill_rest(key, started) == 0
        assert kill_rest(key, started._replace(mark="m")) == 1
        assert process.wait(20) == -9
