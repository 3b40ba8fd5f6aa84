"""Requests against a real HTTP server: repetition, and failures as sentences."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from remote_client.client import Client
from remote_client.errors import ApiError, NotOurs, Unreachable, UsageError
from remote_protocol.api.queues import QueueCreate
from remote_protocol.spec import CommandSpec
from tests.support.fake_api import ID, TOKEN, Answer, FakeApi, job_view, problem
from tests.support.ports import free_port


def test_a_restarting_server_is_waited_for_with_the_same_key(api: FakeApi, client: Client) -> None:
    busy = problem(503, "store_unavailable", "later")
    api.on("POST", "/jobs", busy, Answer(job_view(), 201, breaks=True), Answer(job_view(), 201))
    assert client.submit(CommandSpec(command=["true"])).id == ID
    assert len({said.headers["Idempotency-Key"] for said in api.calls}) == 1
    assert len(api.calls) == 3


def test_too_many_of_ours_are_asked_again_later(api: FakeApi, client: Client) -> None:
    full = problem(429, "too_many_requests", "this token follows 100 logs already")
    api.on("GET", f"/jobs/{ID}", full, full, job_view())
    assert client.job(ID).id == ID


def test_a_link_that_was_cut_is_not_taken_for_a_wrong_url(api: FakeApi) -> None:
    said: list[str] = []
    cut = Answer(job_view(), breaks=True)
    api.on("GET", f"/jobs/{ID}", job_view(), cut, cut, cut, job_view())
    with Client(api.url, TOKEN, sleep=lambda _: None, notice=said.append) as client:
        client.job(ID)
        client.job(ID)
    assert said[0].startswith(f"The link to {api.url} was cut: the answer broke off; a proxy in")
    assert "https" not in said[0]


def test_a_gateway_without_a_server_is_not_waited_for(api: FakeApi, client: Client) -> None:
    api.on("GET", f"/jobs/{ID}", Answer(b"<html>bad gateway", 502))
    with pytest.raises(Unreachable, match="answers 502"):
        client.job(ID, persistent=True)
    assert len(api.calls) < 8


def test_what_is_not_safe_is_not_repeated(api: FakeApi, client: Client) -> None:
    api.on("POST", "/queues", problem(503, "store_unavailable", "later"))
    with pytest.raises(ApiError, match="later"):
        client.create_queue(QueueCreate(name="q"))
    assert len(api.calls) == 1


def test_problems_become_errors_with_a_code_and_all_faults(api: FakeApi, client: Client) -> None:
    faults = [{"field": "timeout", "message": "not a duration"}]
    api.on("POST", "/jobs", problem(422, "validation", "The job is not valid", errors=faults))
    with pytest.raises(ApiError) as caught:
        client.submit(CommandSpec(command=["true"]))
    assert (caught.value.code, caught.value.status) == ("validation", 422)
    assert "timeout: not a duration" in str(caught.value)


def test_an_unreachable_server_is_named_at_once() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    slept: list[float] = []
    with (
        Client(url, TOKEN, sleep=slept.append) as client,
        pytest.raises(Unreachable, match="check that the server"),
    ):
        client.queue("default")
    assert sum(slept) < 3


def test_another_program_at_the_url_is_told(api: FakeApi, client: Client) -> None:
    api.on("GET", "/queues/default", b"<html>welcome</html>")
    with pytest.raises(Unreachable, match="not as a remote-server"):
        client.queue("default")
    api.on("GET", "/queues/default", Answer(b"", 301, headers={"Location": "/elsewhere"}))
    with pytest.raises(Unreachable, match="not as a remote-server"):
        client.queue("default")


def test_a_bad_ca_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be used"):
        Client("https://localhost", TOKEN, ca_file=str(tmp_path / "none.pem"))
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(UsageError, match="PEM"):
        Client("https://localhost", TOKEN, ca_file=str(tmp_path / "bad.pem"))


def test_a_certificate_for_another_name_is_no_matter_of_the_ca(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    with (
        FakeApi(tls=context) as server,
        Client(
            server.url.replace("http:", "https:"), TOKEN, ca_file=str(tmp_path / "ca.pem")
        ) as client,
        pytest.raises(NotOurs, match="use the host name that it was made for") as caught,
    ):
        client.job(ID)
    assert "--ca-file" not in str(caught.value)


def test_another_client_knows_that_the_server_was_reached(api: FakeApi, client: Client) -> None:
    api.on("GET", f"/jobs/{ID}", job_view())
    api.on("POST", f"/jobs/{ID}/cancel", Answer(job_view(), breaks=True), job_view())
    client.job(ID)
    with client.again() as other:
        other.cancel(ID)
    assert len(api.said("POST", f"/jobs/{ID}/cancel")) == 2


def test_an_outage_is_told_once_and_so_is_its_end(api: FakeApi) -> None:
    said: list[str] = []
    busy = problem(503, "store_unavailable", "later")
    api.on("GET", f"/jobs/{ID}", job_view(), busy, busy, busy, job_view(), busy, job_view())
    with Client(api.url, TOKEN, sleep=lambda _: None, notice=said.append) as client:
        client.job(ID)
        client.job(ID)
        client.job(ID)  # one failure is not worth a word
    assert len(said) == 2, said
    assert said[0] == f"{api.url} answers 503. Trying again; jobs go on meanwhile."
    assert said[1].startswith("reached the server again after ")


def test_a_persistent_call_outlives_a_long_outage(api: FakeApi, client: Client) -> None:
    busy = problem(503, "store_unavailable", "later")
    api.on("GET", f"/jobs/{ID}", *[busy] * 50, job_view())
    assert client.job(ID, persistent=True).id == ID
    api.on("GET", f"/jobs/{ID}", *[busy] * 50, job_view(state="succeeded"))
    assert client.wait(ID).id == ID
    api.on("GET", f"/jobs/{ID}", *[busy] * 50, job_view())
    with pytest.raises(ApiError, match="later"):
        client.job(ID)


@pytest.mark.parametrize("token", ["", "  ", "rpt_a b", "rpt_\n\r\nX: y", "rpt_ü"])
def test_a_token_that_no_header_carries_is_a_sentence(api: FakeApi, token: str) -> None:
    with pytest.raises(UsageError, match="The token is empty or contains"):
        Client(api.url, token)


@pytest.mark.parametrize("url", ["", "localhost:8750", "http://", "ftp://x", "http://a b"])
def test_a_url_that_is_none_is_a_sentence(url: str) -> None:
    with pytest.raises(UsageError, match=r"has no scheme|name a host|has the scheme|contains"):
        Client(url, TOKEN)


def test_who_is_not_there_is_said_without_numbers() -> None:
    with (
        Client(f"http://127.0.0.1:{free_port()}", TOKEN, sleep=lambda _: None) as client,
        pytest.raises(Unreachable, match=r"^Cannot reach http://127\.0\.0\.1:\d+: nothing listens"),
    ):
        client.job(ID)
