"""Attempts that wait for their files: fetched once, resumed, given up in words, placed, started."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from remote_agent.config import Config
from remote_agent.execution.content_start import NO_PROGRESS, SAID_EVERY, ContentStart
from remote_agent.journal import Journal
from remote_agent.journal.content_files import ContentFiles
from remote_agent.local.content_cache import ContentCache
from remote_agent.planning.order import HostContext
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import ContentChunk
from remote_protocol.limits import MAX_CONTENT_PART
from remote_protocol.messages import AgentMessage, ContentLost, Offer, ReadContent
from remote_protocol.spec import CommandSpec
from remote_protocol.states import EndReason
from tests.support.fake_server import new_key

A, B = os.urandom(3 * MAX_CONTENT_PART + 7), os.urandom(50_000)


class Host:
    """An agent's part for contents, with a server that gives what is asked for, when it is told."""

    def __init__(self, config: Config) -> None:
        self.now = 1000.0
        self.sent: list[ReadContent] = []
        self.refused: dict[AttemptId, str] = {}
        self.started: list[AttemptId] = []
        self.journal = Journal(config, HostContext("a", {}))
        self.folder = config.state_dir / "contents"
        self.cache = ContentCache(self.folder, 0, 0)
        self.contents = self.restarted()

    def restarted(self) -> ContentStart:
        """The part as another process of the agent has it."""
        self.contents = ContentStart(
            self.cache, ContentFiles(self.journal), self._send, self, lambda: self.now
        )
        return self.contents

    def _send(self, message: AgentMessage) -> None:
        assert isinstance(message, ReadContent)
        self.sent.append(message)

    def refuse(self, key: AttemptId, reason: EndReason, detail: str) -> None:
        assert reason is EndReason.SPAWN_ERROR
        self.refused[key] = detail

    def attempt(self, *data: bytes) -> AttemptId:
        """A stored attempt whose job names these contents."""
        key = new_key()
        self.journal.store(Offer(attempt=key, spec=self.spec(*data)))
        return key

    def spec(self, *data: bytes) -> CommandSpec:
        files = [
            {"path": f"f{n}", "digest": hashlib.sha256(one).hexdigest(), "size": len(one)}
            for n, one in enumerate(data)
        ]
        return CommandSpec.model_validate({"command": ["true"], "files": files})

    def prepare(self, key: AttemptId, *data: bytes) -> None:
        self.contents.prepare(key, self.spec(*data), lambda: self.started.append(key))

    def give(self, *data: bytes, most: int = 1 << 60) -> int:
        """Answer what was asked for, of contents in the order of the job; how many bytes."""
        given = 0
        while self.sent and given < most:
            asked = self.sent.pop(0)
            if asked.size:
                piece = data[asked.number - 1][asked.offset :][: asked.size]
                chunk = ContentChunk(asked.attempt, asked.number, asked.offset, memoryview(piece))
                self.contents.received(chunk)
                given += len(piece)
        return given

    def asked(self) -> list[tuple[AttemptId, int, int]]:
        """What was asked for, and not answered: attempt, number, offset."""
        return [(one.attempt, one.number, one.offset) for one in self.sent if one.size]

    def work(self, key: AttemptId) -> list[bytes]:
        folder = self.journal.path(key) / "work"
        return [path.read_bytes() for path in sorted(folder.iterdir())]


@pytest.fixture
def host(config: Config) -> Host:
    return Host(config)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_two_files_come_and_the_job_starts(host: Host) -> None:
    host.contents.begin()
    key = host.attempt(A, B)
    host.prepare(key, A, B)
    while not host.started:
        host.give(A, B)
        await asyncio.sleep(0.005)
    assert host.work(key) == [A, B] and host.refused == {}
    assert host.contents.waiting == 0
    # Started again, as after a restart in between: its files are not touched.
    (host.journal.path(key) / "work" / "f1").write_text("of the job")
    host.restarted().begin()
    host.prepare(key, A, B)
    assert host.started == [key, key] and host.work(key) == [A, b"of the job"]


async def test_what_is_here_is_not_fetched_and_one_fetch_serves_all(host: Host) -> None:
    host.cache.most = 1 << 30
    host.contents.begin()
    first, second = host.attempt(B), host.attempt(B)
    host.prepare(first, B)
    host.prepare(second, B)
    assert host.asked() == [(first, 1, 0)]
    host.give(B)
    await until(lambda: len(host.started) == 2)
    third = host.attempt(B)
    host.prepare(third, B)
    await until(lambda: third in host.started)
    assert host.asked() == [] and host.work(third) == [B]


async def test_after_a_cut_and_a_restart_it_goes_on(host: Host) -> None:
    key = host.attempt(A)
    host.prepare(key, A)
    assert host.sent == [], "there is no link yet"
    host.contents.begin()
    host.give(A, most=1)
    host.contents.stop()
    host.sent.clear()
    host.contents.begin()
    assert host.asked()[0] == (key, 1, MAX_CONTENT_PART)
    host.sent.clear()
    host.restarted().begin()
    host.prepare(key, A)
    assert host.asked()[0] == (key, 1, MAX_CONTENT_PART)
    host.give(A)
    await until(lambda: host.started == [key])
    assert host.work(key) == [A]


async def test_another_attempt_goes_on_with_it_when_one_is_cancelled(host: Host) -> None:
    host.contents.begin()
    first, second = host.attempt(A), host.attempt(A)
    host.prepare(first, A)
    host.prepare(second, A)
    host.give(A, most=1)
    host.sent.clear()
    host.contents.drop(first)
    assert host.asked()[0] == (second, 1, MAX_CONTENT_PART)
    host.give(A)
    await until(lambda: host.started == [second])
    assert host.refused == {}


async def test_a_damaged_content_is_fetched_again_and_then_given_up(host: Host) -> None:
    host.contents.begin()
    key = host.attempt(B)
    host.prepare(key, B)
    wrong = bytes(len(B))
    for _ in range(3):
        await until(host.asked)
        host.give(wrong)
    await until(lambda: host.refused)
    assert "came damaged from the server, several times" in host.refused[key]
    host.sent.clear()
    again = host.attempt(B)
    host.prepare(again, B)
    host.give(wrong)
    await until(host.asked)
    host.give(B)
    await until(lambda: host.started == [again])


async def test_what_the_server_has_no_more(host: Host) -> None:
    host.contents.begin()
    key = host.attempt(B)
    host.prepare(key, B)
    host.contents.lost(ContentLost(attempt=key, number=1, reason="it is gone"))
    assert host.refused == {key: "it is gone"} and host.contents.waiting == 0


async def test_a_server_that_gives_nothing(host: Host) -> None:
    host.contents.begin()
    key = host.attempt(B)
    host.prepare(key, B)
    host.now += NO_PROGRESS
    host.contents.stop()
    host.contents.turn()
    host.contents.begin()
    host.now += NO_PROGRESS - 1
    host.contents.turn()
    assert host.refused == {}, "without a link nothing can come"
    host.now += 2
    host.contents.turn()
    assert "nothing of one of its files came from the server for 10m" in host.refused[key]


async def test_the_server_is_told_again_and_again(host: Host) -> None:
    host.contents.begin()
    first, second = host.attempt(A), host.attempt(A)
    host.prepare(first, A)
    host.prepare(second, A)
    host.give(A, most=1)
    host.sent.clear()
    host.now += SAID_EVERY
    host.contents.turn()
    said = {(one.attempt, one.offset) for one in host.sent if not one.size}
    assert said == {(first, MAX_CONTENT_PART), (second, MAX_CONTENT_PART)}


async def test_a_host_without_room(host: Host) -> None:
    host.cache.reserve = 1 << 60
    host.contents.begin()
    key = host.attempt(B)
    host.prepare(key, B)
    assert "this host has no room for a file of the job" in host.refused[key]


async def test_what_cannot_be_put_into_place(host: Host) -> None:
    host.contents.begin()
    key = host.attempt(B)
    (host.journal.path(key) / "work" / "f0").mkdir()
    host.prepare(key, B)
    host.give(B)
    await until(lambda: host.refused)
    assert "'work/f0' cannot be put into its work directory" in host.refused[key]
    gone = new_key()
    host.prepare(gone, B)
    assert "its files cannot be prepared" in host.refused[gone]


async def test_what_was_not_asked_for_changes_nothing(host: Host, tmp_path: Path) -> None:
    host.contents.begin()
    key = host.attempt(B)
    host.prepare(key, B)
    for number, offset in ((2, 0), (1, 10)):
        host.contents.received(ContentChunk(key, number, offset, memoryview(b"x")))
    host.contents.received(ContentChunk(new_key(), 1, 0, memoryview(b"x")))
    host.give(B)
    await until(lambda: host.started == [key])
    assert host.work(key) == [B]


async def test_no_more_is_kept_of_what_nobody_waits_for_than_may_be(host: Host) -> None:
    """Jobs that are cancelled while their files come would fill the disk one by one."""
    host.contents.begin()
    first, second = host.attempt(A), host.attempt(A)
    for key in (first, second):
        host.prepare(key, A)
    host.give(A, most=1)
    host.contents.drop(first)
    host.give(A, most=1)
    (part,) = host.folder.iterdir()
    host.contents.drop(second)
    await until(lambda: not part.exists())
