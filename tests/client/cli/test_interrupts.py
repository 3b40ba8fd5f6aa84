"""Ctrl-C and SIGTERM as real signals, at every awkward moment of `remotectl run`."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.client.conftest import started
from tests.support.fake_api import ID, Answer, FakeApi, Said, cri_log, job_view, problem

CANCEL = f"/jobs/{ID}/cancel"
JOB = f"/jobs/{ID}"


class Cancelled:
    """A job that runs until it is cancelled; before that, `log` says what there is to read."""

    def __init__(self, api: FakeApi, log: Callable[[Said], Answer] | None = None) -> None:
        self.event = threading.Event()
        api.on("POST", "/jobs", Answer(job_view(), 201))
        api.on("GET", JOB, self.state)
        api.on("GET", f"{JOB}/log", log or self.log)
        api.on("POST", CANCEL, self.cancel)

    def state(self, said: Said) -> dict[str, Any]:
        if self.event.is_set():
            return job_view(state="cancelled", attempt=1, end_reason="cancelled", exit_code=143)
        return job_view(state="running", attempt=1)

    def cancel(self, said: Said) -> dict[str, Any]:
        self.event.set()
        return job_view(state="running", attempt=1)

    def log(self, said: Said) -> Answer:
        assert self.event.wait(30)
        return Answer(b"")


def line(process: Any) -> str:
    """The next line of what it says on stderr."""
    text: bytes = process.stderr.readline()
    return text.decode().removeprefix("remotectl: ").rstrip("\n")


def test_before_anything_was_sent(api: FakeApi) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        # The TLS handshake never ends, so that no request can leave.
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        with started(api, "true", url=url) as process:
            wire, _ = mute.accept()
            assert wire.recv(1)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
            wire.close()
    assert process.returncode == 130
    assert err == b"remotectl: interrupted before anything was sent: no job was submitted\n"


@pytest.mark.parametrize("options", [(), ("--detach",)])
def test_before_the_answer_to_the_submission(api: FakeApi, options: tuple[str, ...]) -> None:
    job, sent, answer = Cancelled(api), threading.Event(), threading.Event()

    def submit(said: Said) -> Answer:
        sent.set()
        assert answer.wait(30)
        return Answer(job_view(), 201)

    api.on("POST", "/jobs", submit)
    with started(api, "true", options=options) as process:
        assert sent.wait(30)
        process.send_signal(signal.SIGINT)
        assert line(process).startswith("the job is on its way: it is cancelled once the server")
        answer.set()
        assert line(process).startswith(f"cancelling {ID}")
        process.communicate(timeout=30)
    assert process.returncode == 130
    assert job.event.is_set()


def test_when_the_answer_to_the_submission_is_lost(api: FakeApi) -> None:
    job, sent, lose = Cancelled(api), threading.Event(), threading.Event()

    def lost(said: Said) -> Answer:
        sent.set()
        assert lose.wait(30)
        return Answer(job_view(), 201, breaks=True)

    api.on("POST", "/jobs", lost, Answer(job_view(), 200))
    with started(api, "true") as process:
        assert sent.wait(30)
        process.send_signal(signal.SIGINT)
        line(process)
        lose.set()
        process.communicate(timeout=30)
    assert process.returncode == 130
    assert job.event.is_set()
    keys = [said.headers["Idempotency-Key"] for said in api.said("POST", "/jobs")]
    assert len(keys) == 2 and len(set(keys)) == 1


def test_a_second_one_before_the_answer_says_what_is_not_known(api: FakeApi) -> None:
    Cancelled(api)
    sent, leave = threading.Event(), threading.Event()

    def submit(said: Said) -> Answer:
        sent.set()
        leave.wait(30)
        return Answer(job_view(), 201)

    api.on("POST", "/jobs", submit)
    with started(api, "true") as process:
        assert sent.wait(30)
        process.send_signal(signal.SIGINT)
        line(process)
        process.send_signal(signal.SIGINT)
        assert line(process).startswith("left before the server answered: the job may run")
        assert process.wait(30) == 130
    leave.set()


def test_between_the_submission_and_the_stream(api: FakeApi) -> None:
    job, asked = Cancelled(api), threading.Event()

    def state(said: Said) -> dict[str, Any]:
        asked.set()
        assert job.event.wait(30)
        return job.state(said)

    api.on("GET", JOB, state)
    with started(api, "true") as process:
        assert asked.wait(30)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130
    assert len(api.said("POST", CANCEL)) == 1


def test_while_it_tries_to_reach_the_server_again(api: FakeApi) -> None:
    def log(said: Said) -> Answer:
        return Answer(b"") if job.event.is_set() else problem(503, "store_unavailable", "later")

    def cancel(said: Said) -> Answer | dict[str, Any]:
        # The cancellation meets the same outage at first.
        if len(api.said("POST", CANCEL)) < 4:
            return problem(503, "store_unavailable", "later")
        return job.cancel(said)

    job = Cancelled(api, log)
    api.on("POST", CANCEL, cancel)
    with started(api, "true") as process:
        assert "Trying again" in line(process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130
    assert len(api.said("POST", CANCEL)) == 4


def test_a_second_one_while_the_server_is_away_says_that_the_job_may_run_on(api: FakeApi) -> None:
    away = problem(503, "store_unavailable", "later")
    Cancelled(api, lambda said: away)
    api.on("POST", CANCEL, away)
    with started(api, "true") as process:
        line(process)
        process.send_signal(signal.SIGINT)
        assert line(process).startswith(f"cancelling {ID}")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    last = err.decode().splitlines()[-1]
    assert last.endswith(f"{ID} may run on; cancel it with: remotectl job cancel {ID}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_the_job_and_its_last_words_come(
    api: FakeApi, number: signal.Signals
) -> None:
    cancelled = threading.Event()

    def state(said: object) -> dict[str, Any]:
        if cancelled.is_set():
            return job_view(state="cancelled", attempt=1, end_reason="cancelled", exit_code=143)
        return job_view(state="running", attempt=1)

    def cancel(said: object) -> dict[str, Any]:
        cancelled.set()
        return job_view(state="running", attempt=1)

    def log(said: Said) -> Answer:
        if said.query["offset"] == "0":
            return Answer(cri_log(("stdout", b"begun\n")), breaks=True)
        assert cancelled.wait(30)
        return Answer(cri_log(("stderr", b"last words\n")) if said.query["offset"] == "46" else b"")

    api.on("POST", "/jobs", Answer(job_view(), 201))
    api.on("GET", f"/jobs/{ID}", state)
    api.on("GET", f"/jobs/{ID}/log", log)
    api.on("POST", f"/jobs/{ID}/cancel", cancel)
    with started(api, "sleep", "60") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == b""
    lines = err.decode().splitlines()
    assert lines[0].startswith(f"remotectl: cancelling {ID}; Ctrl-C again exits at once")
    assert lines[1:] == ["last words", f"remotectl: {ID} (sleep 60) cancelled"]
    (said,) = api.said("POST", f"/jobs/{ID}/cancel")
    assert said.body == {"reason": "interrupted in remotectl run"}


def test_a_second_interrupt_leaves_at_once(api: FakeApi) -> None:
    asked, leave = threading.Event(), threading.Event()

    def log(said: Said) -> Answer:
        if said.query["offset"] != "0":
            leave.wait(30)
        return Answer(cri_log(("stdout", b"begun\n")), breaks=True)

    def cancel(said: object) -> dict[str, Any]:
        asked.set()
        leave.wait(30)
        return job_view()

    api.on("POST", "/jobs", Answer(job_view(), 201))
    api.on("GET", f"/jobs/{ID}", job_view(state="running", attempt=1))
    api.on("GET", f"/jobs/{ID}/log", log)
    api.on("POST", f"/jobs/{ID}/cancel", cancel)
    with started(api, "sleep", "60") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGINT)
        assert asked.wait(30)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    leave.set()


def test_in_the_background_of_a_shell_it_is_for_others(api: FakeApi) -> None:
    asked, end = threading.Event(), threading.Event()

    def log(said: Said) -> Answer:
        asked.set()
        assert end.wait(30)
        return Answer(b"")

    states = [job_view(state="running", attempt=1), job_view(state="succeeded", attempt=1)]
    api.on("POST", "/jobs", Answer(job_view(), 201))
    api.on("GET", JOB, *states)
    api.on("GET", f"{JOB}/log", log)
    ignoring = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    with started(api, "true", under=ignoring) as process:
        assert asked.wait(30)
        process.send_signal(signal.SIGINT)
        end.set()
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, b"")
