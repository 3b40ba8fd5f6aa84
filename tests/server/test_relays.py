"""`remote_server.relays`: what is sent on to the program behind a relay, and what is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import ErrorCode
from remote_protocol.relay import AT_ONCE, AT_ONCE_OF_AGENT
from remote_server.relay_settings import RelayPart
from remote_server.relays import Body, RelayError, Relays, takes_body, texts, unusable_files
from tests.support.behind_relay import BehindRelay
from tests.support.ports import free_port

KEY = AttemptId("01ARZ3NDEKTSV4RRFFQ69G5FAX", 1)


@pytest.fixture
def behind() -> Any:
    with BehindRelay() as program:
        yield program


@pytest.fixture
async def relays(behind: BehindRelay) -> AsyncIterator[Relays]:
    """One that leads there, and one that leads nowhere."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    found = Relays(
        {
            "api": RelayPart(url=behind.url, prefix="/items/", queues=("default",)),
            "gone": RelayPart(url=nowhere, queues=("default",)),
            "unknown": RelayPart(url="http://nowhere.invalid", queues=("default",)),
        }
    )
    running = asyncio.ensure_future(found.run())
    yield found
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def ask(
    relays: Relays,
    target: str = "/items/a",
    *headers: tuple[str, str],
    name: str = "api",
    method: str = "GET",
    body: Body | None = None,
) -> tuple[int, bytes]:
    async with relays.ask(name, method, target, headers, body) as answer:
        return answer.status, b"".join([piece async for piece in answer.pieces()])


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def test_who_may_have_which(behind: BehindRelay) -> None:
    found = Relays({"api": RelayPart(url=behind.url, queues=("berlin",))})
    assert found.fault("api", "berlin") == ""
    assert "not for jobs in the queue 'default'" in found.fault("api", "default")
    assert "there is no relay 'other'" in found.fault("other", "berlin")
    assert "berlin" not in found.fault("other", "berlin")


async def test_headers_and_bodies_pass(relays: Relays, behind: BehindRelay) -> None:
    own = ("Authorization", "Bearer of-the-agent")
    theirs = ("Relayed-Authorization", "Bearer of-the-job")
    body = Body(pieces(b"one ", b"two"), 7)
    said = await ask(relays, "/items/a?b=%2F", own, theirs, method="PUT", body=body)
    assert said == (200, b"one two")
    asked = behind.asked[0]
    assert (asked.method, asked.target, asked.body) == ("PUT", "/items/a?b=%2F", b"one two")
    assert asked.headers["Authorization"] == "Bearer of-the-job"
    assert asked.headers["Content-Length"] == "7" and "User-Agent" not in asked.headers
    unknown = Body(pieces(b"three"), None)
    assert await ask(relays, method="POST", body=unknown) == (200, b"three")
    assert behind.asked[1].headers["Transfer-Encoding"] == "chunked"


async def test_redirects_are_answers_and_no_cookie_is_kept(
    relays: Relays, behind: BehindRelay
) -> None:
    assert (await ask(relays, "/items/a?status=302"))[0] == 302
    assert (await ask(relays))[0] == 200
    assert [asked.target for asked in behind.asked] == ["/items/a?status=302", "/items/a"]
    assert "Cookie" not in behind.asked[1].headers


@pytest.mark.parametrize("target", ["/other", "/items/../other", "/items%2f..", "//items/", "x"])
async def test_nothing_leads_out_of_the_prefix(
    relays: Relays, behind: BehindRelay, target: str
) -> None:
    with pytest.raises(RelayError) as caught:
        await ask(relays, target)
    assert caught.value.code is ErrorCode.FORBIDDEN and behind.asked == []


async def test_what_is_away_is_told_without_its_address(relays: Relays) -> None:
    for name, words in (("gone", "Connection refused"), ("unknown", "cannot be resolved")):
        with pytest.raises(RelayError) as caught:
            await ask(relays, name=name)
        assert caught.value.code is ErrorCode.RELAY_FAILED
        said = str(caught.value)
        assert f"the relay {name!r}" in said and words in said
        assert "127.0.0.1" not in said and "invalid" not in said


async def test_certificates_that_cannot_be_read_are_the_servers_fault(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.touch()
    settings = {
        "empty": RelayPart(url="https://127.0.0.1:9", queues=("default",), ca_file=empty),
        "gone": RelayPart(url="https://127.0.0.1:9", queues=("default",), ca_file=tmp_path / "no"),
        "plain": RelayPart(url="http://127.0.0.1:9", queues=("default",)),
    }
    found = unusable_files(settings)
    assert [text.split("]")[0] for text in found] == ["[relay.empty", "[relay.gone"]
    assert f"{tmp_path}/no cannot be used (No such file or directory); give" in found[1]
    for name in ("empty", "gone"):
        with pytest.raises(RelayError, match="cannot use its ca_file") as caught:
            await ask(Relays(settings), name=name)
        assert caught.value.code is ErrorCode.RELAY_FAILED
        assert str(tmp_path) not in str(caught.value), "the job need not know it"


async def test_a_body_that_breaks_raises_what_it_raised(
    relays: Relays, behind: BehindRelay
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise RelayError(ErrorCode.BODY_TOO_LARGE, "too large")

    with pytest.raises(RelayError, match="too large"):
        await ask(relays, method="POST", body=Body(broken(), None))
    assert behind.asked == []


async def test_an_answer_is_bounded(
    relays: Relays, behind: BehindRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remote_server.relays.MAX_RELAYED", 100_000)
    assert len((await ask(relays, "/items/a?size=100000"))[1]) == 100_000
    with pytest.raises(RelayError, match="the most that is relayed"):
        await ask(relays, "/items/a?size=100001")


async def test_what_does_not_move_is_given_up(
    relays: Relays, behind: BehindRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remote_server.relays.STALL", 0.2)
    with pytest.raises(TimeoutError):
        await ask(relays, "/items/hang")


def test_requests_are_counted(relays: Relays) -> None:
    from contextlib import ExitStack

    with ExitStack() as stack:
        for _ in range(AT_ONCE):
            stack.enter_context(relays.taken(KEY, "a"))
        with pytest.raises(RelayError, match="of this job"), relays.taken(KEY, "a"):
            pass
        others = (AttemptId(KEY.job, 2 + n // AT_ONCE) for n in range(AT_ONCE_OF_AGENT - AT_ONCE))
        for other in others:
            stack.enter_context(relays.taken(other, "a"))
        last = AttemptId(KEY.job, 100)
        with pytest.raises(RelayError, match="of this agent"), relays.taken(last, "a"):
            pass
        with relays.taken(last, "b"):
            pass
    with relays.taken(KEY, "a"):
        pass
    assert not relays._of_agents and not relays._of_attempts


def test_what_has_a_body() -> None:
    assert takes_body("POST", 0) and takes_body("GET", 3) and takes_body("GET", None)
    assert not takes_body("GET", 0) and not takes_body("DELETE", 0)


def test_headers_that_are_no_text_are_left_out() -> None:
    assert texts([(b"A", b"b"), (b"C", b"\xff"), (b"D", "ä".encode())]) == [("A", "b"), ("D", "ä")]
