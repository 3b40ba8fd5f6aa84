"""`remotectl job logs`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.fake_api import ID, Answer, FakeApi, Said, cri_log, job_view


def test_a_download_that_was_cut_is_completed(
    api: FakeApi, ctl: Any, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: Any
) -> None:
    log = cri_log(*(("stdout", b"line %d\n" % n) for n in range(100)))
    monkeypatch.setattr("time.sleep", lambda _: None)
    # A proxy that lost the server ends what it has in good order.
    size = {"Remote-Log-Size": str(len(log)), "Remote-Log-Over": "true"}
    api.on("GET", f"/jobs/{ID}/log", Answer(log[:700], headers=size), log)
    assert ctl("job", "logs", ID) == 0
    assert capfdbinary.readouterr().out == b"".join(b"line %d\n" % n for n in range(100))


def test_a_job_that_never_started_says_so(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("GET", f"/jobs/{ID}/log", Answer(b"", headers={"Remote-Attempt": "0"}))
    api.on("GET", f"/jobs/{ID}", job_view(pending_reason="all agents are busy"))
    assert ctl("job", "logs", ID) == 0
    said = f"remotectl: {ID} has not printed anything: it is queued: all agents are busy\n"
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize(
    ("end", "says"),
    [
        ({"end_reason": "spawn_error", "end_detail": "program 'x' not found"}, True),
        ({"end_reason": "secret_missing", "end_detail": "program 'x' not found"}, True),
        ({"end_reason": "cancelled", "end_detail": "program 'x' not found"}, True),
        ({"end_reason": "exit", "started_at": "2026-11-26T12:00:00Z"}, False),
        ({"end_reason": "spawn_error", "started_at": "2026-11-26T12:00:00Z"}, True),
    ],
)
def test_an_attempt_that_never_started_says_so(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str], end: dict[str, Any], says: bool
) -> None:
    head = {"Remote-Attempt": "1", "Remote-Log-Size": "0", "Remote-Log-Over": "true"}
    api.on("GET", f"/jobs/{ID}/log", Answer(b"", headers=head))
    about = {"attempt": 1, "attempts": [{"number": 1, "state": "ended", **end}]}
    api.on(
        "GET", f"/jobs/{ID}", job_view(state="failed", **about, end_detail=end.get("end_detail"))
    )
    for options in ([], ["--attempt", "1"]):
        assert ctl("job", "logs", *options, ID) == 0
        out, err = capsys.readouterr()
        why = f": {end['end_detail']}" if "end_detail" in end else ""
        said = f"remotectl: {ID} has not printed anything: it is failed{why}\n"
        assert (out, err) == ("", said if says else "")


def attempts(api: FakeApi, *texts: bytes) -> None:
    """A job that has ended, with so many attempts."""
    logs = {
        str(n): cri_log(*(("stdout", line) for line in text.splitlines(True)), ("stderr", b"err\n"))
        for n, text in enumerate(texts, 1)
    }
    count = len(texts)

    def log(said: Said) -> Answer:
        number = said.query.get("attempt", str(count))
        size = {"Remote-Attempt": number, "Remote-Log-Size": str(len(logs[number]))}
        return Answer(logs[number][int(said.query["offset"]) :], headers=size)

    views = [
        {"number": int(number), "state": "ended", "log_complete": True, "log_size": len(stored)}
        for number, stored in logs.items()
    ]
    ended = {"state": "failed", "attempt": count, "end_detail": "exit code 3", "attempts": views}
    first = {**ended, "state": "running", "attempt": 1, "max_attempts": count, "agent": "a"}
    last = {**first, **ended}
    api.on("GET", f"/jobs/{ID}", job_view(**first), job_view(**first), job_view(**last))
    api.on("GET", f"/jobs/{ID}/log", log)


def test_follow_goes_over_all_attempts(
    api: FakeApi, ctl: Any, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    attempts(api, b"one\n", b"two\n")
    assert ctl("job", "logs", "-f", ID) == 0
    out, err = capfdbinary.readouterr()
    assert out == b"one\ntwo\n"
    lines = err.decode().splitlines()
    assert lines[0] == "err" and lines[1] == "remotectl: attempt 2 of 2 on a"
    assert lines[-1].startswith(f"remotectl: {ID} failed on a") and "exit code 3" in lines[-1]


def test_one_attempt_and_one_stream(
    api: FakeApi, ctl: Any, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    attempts(api, b"one\n", b"two\n")
    assert ctl("job", "logs", "-f", ID, "--attempt", "1", "--stream", "stdout") == 0
    assert capfdbinary.readouterr() == (b"one\n", b"")
    assert ctl("job", "logs", ID, "--stream", "stderr") == 0
    assert capfdbinary.readouterr() == (b"", b"err\n")


def test_tail_then_follow(
    api: FakeApi, ctl: Any, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    attempts(api, b"a\nb\nc\n")
    assert ctl("job", "logs", "-f", "--tail", "2", ID) == 0
    assert capfdbinary.readouterr().out == b"c\n"


def test_since(api: FakeApi, ctl: Any, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    attempts(api, b"long ago\n")
    assert ctl("job", "logs", "--since", "10m", ID) == 0
    assert capfdbinary.readouterr() == (b"", b"")
    assert ctl("job", "logs", "--since", "366d", ID) == 0
