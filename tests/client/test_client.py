"""The Python client against a real HTTP server: calls, repetition, logs over broken lines."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from remote_client.client import Client
from remote_client.errors import ApiError, ClientError, NotOurs, Unreachable, UsageError
from remote_protocol import cri
from remote_protocol.api import AgentChange, RegistrationTokenCreate
from remote_protocol.ids import Role
from remote_protocol.spec import JobSpec
from remote_protocol.states import JobState
from tests.support.fake_api import ID, NOW, TOKEN, Answer, FakeApi, cri_log, job_view, problem
from tests.support.stack import free_port


def test_submit_sends_what_was_asked_and_a_key(api: FakeApi, client: Client) -> None:
    api.on("POST", "/jobs", Answer(job_view(), 201))
    job = client.submit(JobSpec(command=["echo", "hi"], timeout=5))
    assert (job.id, job.state) == (ID, JobState.QUEUED)
    said = api.calls[0]
    assert said.body == {"command": ["echo", "hi"], "timeout": 5.0}
    assert said.headers["Idempotency-Key"]
    assert said.headers["Authorization"] == f"Bearer {TOKEN}"


def test_a_restarting_server_is_waited_for_with_the_same_key(api: FakeApi, client: Client) -> None:
    busy = problem(503, "store_unavailable", "later")
    api.on("POST", "/jobs", busy, Answer(job_view(), 201, breaks=True), Answer(job_view(), 201))
    assert client.submit(JobSpec(command=["true"])).id == ID
    assert len({said.headers["Idempotency-Key"] for said in api.calls}) == 1
    assert len(api.calls) == 3


def test_what_is_not_safe_is_not_repeated(api: FakeApi, client: Client) -> None:
    api.on("POST", f"/jobs/{ID}/retry", problem(503, "store_unavailable", "later"))
    with pytest.raises(ApiError, match="later"):
        client.retry(ID)
    assert len(api.calls) == 1


def test_problems_become_errors_with_a_code_and_all_faults(api: FakeApi, client: Client) -> None:
    faults = [{"field": "timeout", "message": "not a duration"}]
    api.on("POST", "/jobs", problem(422, "validation", "The job is not valid", errors=faults))
    with pytest.raises(ApiError) as caught:
        client.submit(JobSpec(command=["true"]))
    assert (caught.value.code, caught.value.status) == ("validation", 422)
    assert "timeout: not a duration" in str(caught.value)


def test_an_unreachable_server_is_named_at_once() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    began = time.monotonic()
    with Client(url, TOKEN) as client, pytest.raises(Unreachable, match="check that the server"):
        client.queue("default")
    assert time.monotonic() - began < 3


def test_another_program_at_the_url_is_told(api: FakeApi, client: Client) -> None:
    api.on("GET", "/queues/default", b"<html>welcome</html>")
    with pytest.raises(Unreachable, match="not as a remote-server"):
        client.queue("default")
    api.on("GET", "/queues/default", Answer(b"", 301, headers={"Location": "/elsewhere"}))
    with pytest.raises(Unreachable, match="not as a remote-server"):
        client.queue("default")


def test_names_are_one_segment_of_the_path(api: FakeApi, client: Client) -> None:
    with pytest.raises(ApiError):
        client.agent("../tokens?x=1")
    assert api.calls[0].path == "/agents/..%2Ftokens%3Fx%3D1"
    assert api.calls[0].query == {}


def test_a_bad_ca_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be used"):
        Client("https://localhost", TOKEN, ca_file=str(tmp_path / "none.pem"))
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(UsageError, match="PEM"):
        Client("https://localhost", TOKEN, ca_file=str(tmp_path / "bad.pem"))


def test_wait_until_the_end_or_the_timeout(api: FakeApi, client: Client) -> None:
    path = f"/jobs/{ID}"
    api.on("GET", path, job_view(), job_view(state="running"), job_view(state="succeeded"))
    assert client.wait(ID).state is JobState.SUCCEEDED
    api.on("GET", path, job_view(state="running"))
    with pytest.raises(ClientError, match="still running"):
        client.wait(ID, timeout=0)


def test_a_log_is_resumed_at_the_byte_where_the_line_broke(api: FakeApi, client: Client) -> None:
    whole = cri_log(*((("stdout", b"line %d\n" % n)) for n in range(500)))
    cuts = [1000, 1001, 9000]

    def piece(said: object) -> Answer:
        offset = int(api.calls[-1].query["offset"])
        if cuts:
            return Answer(whole[offset : offset + cuts.pop(0)], breaks=True)
        return Answer(whole[offset:])

    api.on("GET", f"/jobs/{ID}/log", piece)
    stored = b"".join(client.stored_log(ID, follow=True))
    assert stored == whole
    assert cri.decode(stored) == b"".join(b"line %d\n" % n for n in range(500))
    assert len(api.calls) == 4
    assert api.calls[0].headers["Accept"] == "application/vnd.cri-log"


def test_records_keep_stream_time_and_bytes(api: FakeApi, client: Client) -> None:
    log = cri_log(("stdout", b"a\n"), ("stderr", b"\xff\x00"), ("stderr", b"b\n"))
    api.on("GET", f"/jobs/{ID}/log", log)
    records = list(client.follow_log(ID, attempt=2))
    assert [(r.stream, r.data) for r in records] == [
        ("stdout", b"a\n"),
        ("stderr", b"\xff\x00"),
        ("stderr", b"b\n"),
    ]
    assert api.calls[0].query == {"attempt": "2", "offset": "0", "follow": "true"}


def test_a_refused_log_is_not_asked_for_again(api: FakeApi, client: Client) -> None:
    with pytest.raises(ApiError):
        list(client.stored_log(ID, follow=True))
    assert len(api.calls) == 1


def test_long_logs_are_undone_fast_and_piece_by_piece(api: FakeApi, client: Client) -> None:
    log = cri_log(*[("stdout", b"x" * 79 + b"\n")] * 100) * 2000
    api.on("GET", f"/jobs/{ID}/log", log)
    began, size, largest = time.process_time(), 0, 0
    for piece in client.stored_log(ID, follow=True):
        size += len(cri.decode(piece))
        largest = max(largest, len(piece))
    seconds = time.process_time() - began
    assert size == 16_000_000
    assert largest <= 4 * 1024 * 1024
    # A quadratic way takes minutes; the exact speed is the benchmarks' business.
    assert size / seconds > 10e6


def test_events(api: FakeApi, client: Client) -> None:
    line = (
        '{"seq": %d, "job": "' + ID + f'", "at": "{NOW}", "what": "queued", "state": "queued"}}\n'
    )
    api.on("GET", "/events", (line % 7 + line % 9).encode())
    assert [event.seq for event in client.events(after=5, follow=False)] == [7, 9]
    assert api.calls[0].query == {"after": "5"}


def test_changes_send_only_what_is_set(api: FakeApi, client: Client) -> None:
    view = {
        "name": "a", "state": "online", "queues": ["q"], "capacity": {"default": 2},
        "registered_at": NOW,
    }  # fmt: skip
    api.on("PATCH", "/agents/a", view)
    client.change_agent("a", AgentChange(queues=["q"]))
    assert api.calls[0].body == {"queues": ["q"]}
    api.on("POST", "/agents/a/drain", view)
    client.drain_agent("a", 30)
    assert api.calls[1].body == {"deadline": 30}


def test_tokens(api: FakeApi, client: Client) -> None:
    view = {"id": ID, "kind": "api", "name": "ci", "created_at": NOW, "token": "rpt_x"}
    api.on("POST", "/tokens", Answer(view, 201))
    assert client.create_token("ci", Role.OPERATOR, expires=60).token == "rpt_x"
    assert api.calls[0].body == {"name": "ci", "role": "operator", "agent": None, "expires": 60}
    api.on("POST", "/registration-tokens", Answer({**view, "kind": "registration"}, 201))
    client.create_registration_token(RegistrationTokenCreate(queues=["q"], uses=2, expires=None))
    assert api.calls[1].body == {"queues": ["q"], "uses": 2, "expires": None}
    api.on("DELETE", f"/registration-tokens/{ID}", Answer(None, 204))
    client.revoke_token(ID, "registration-tokens")


def test_another_client_for_another_thread(api: FakeApi, client: Client) -> None:
    api.on("GET", f"/jobs/{ID}", job_view())
    with client.again() as other:
        assert other is not client
        assert other.job(ID).id == ID


def test_a_resumed_log_stays_with_its_attempt(api: FakeApi, client: Client) -> None:
    whole = cri_log(("stdout", b"one\n"), ("stdout", b"two\n"))
    first = Answer(whole[:50], breaks=True, headers={"Remote-Attempt": "1"})
    api.on("GET", f"/jobs/{ID}/log", first, whole[50:])
    assert b"".join(client.stored_log(ID, follow=True)) == whole
    assert [said.query.get("attempt") for said in api.calls] == [None, "1"]
    assert api.calls[1].query["offset"] == "50"


def test_a_log_outlives_a_restart_of_the_server(api: FakeApi, client: Client) -> None:
    log = cri_log(("stdout", b"a\n"), ("stderr", b"b\n"))
    busy = problem(503, "store_unavailable", "later")
    cut = Answer(log[:41], breaks=True)
    api.on("GET", f"/jobs/{ID}/log", busy, cut, busy, Answer(b"<html>", 502), log[41:])
    assert b"".join(client.stored_log(ID, attempt=1, follow=True)) == log
    assert [said.query["offset"] for said in api.calls] == ["0", "0", "41", "41", "41"]


def test_a_log_from_something_else_is_not_asked_for_again(api: FakeApi, client: Client) -> None:
    api.on("GET", f"/jobs/{ID}/log", Answer(b"<html>", 404))
    with pytest.raises(NotOurs, match="not as a remote-server"):
        list(client.stored_log(ID, follow=True))
    assert len(api.calls) == 1


def test_another_client_knows_that_the_server_was_reached(api: FakeApi, client: Client) -> None:
    api.on("GET", f"/jobs/{ID}", job_view())
    api.on("POST", f"/jobs/{ID}/cancel", Answer(job_view(), breaks=True), job_view())
    client.job(ID)
    with client.again() as other:
        other.cancel(ID)
    assert len(api.said("POST", f"/jobs/{ID}/cancel")) == 2
