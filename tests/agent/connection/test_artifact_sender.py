"""Artifacts on their way: in turns, after logs, again after a cut, and given up in words."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from remote_agent.connection import artifact_sender as module
from remote_agent.connection.artifact_sender import ArtifactSender
from remote_protocol.artifacts import ArtifactState
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import ArtifactChunk, decode_chunk
from remote_protocol.messages import AgentMessage, Artifact, ArtifactAck, ArtifactLost
from tests.support.fake_server import new_key, until


class World:
    """A host's files, a link, and a server that takes what comes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lists: dict[AttemptId, list[tuple[int, str, int]]] = {}
        self.over: list[AttemptId] = []
        self.said: list[AgentMessage] = []
        self.stored: dict[tuple[AttemptId, int], bytearray] = {}
        self.order: list[AttemptId] = []
        self.up = True
        self.scarce = 0
        self.now = 0.0
        self.answers = True
        self.sender = ArtifactSender(self, self._send, self._write, lambda: None, lambda: self.now)

    def add(self, *contents: bytes) -> AttemptId:
        key = new_key()
        folder = self.root / str(key)
        folder.mkdir()
        self.lists[key] = []
        for number, content in enumerate(contents, start=1):
            (folder / f"f{number}").write_bytes(content)
            self.lists[key].append((number, f"f{number}", len(content)))
        self.sender.add(key)
        return key

    def files(self, key: AttemptId) -> list[tuple[int, str, int]]:
        return self.lists[key]

    def open(self, key: AttemptId, name: str) -> int:
        if self.scarce:
            self.scarce -= 1
            raise OSError(errno.EMFILE, "too many open files")
        return os.open(self.root / str(key) / name, os.O_RDONLY)

    def done(self, key: AttemptId) -> None:
        self.over.append(key)

    def _send(self, message: AgentMessage) -> None:
        self.said.append(message)
        if self.answers:
            asyncio.get_running_loop().call_soon(self.answer, message)

    def answer(self, message: AgentMessage) -> None:
        """As a server does."""
        if isinstance(message, ArtifactLost):
            self.ack(message.attempt, message.number, ArtifactState.FAILED)
        elif isinstance(message, Artifact):
            data = self.stored.setdefault((message.attempt, message.number), bytearray())
            self._judge(message, data)

    def _judge(self, message: Artifact, data: bytearray) -> None:
        if len(data) == message.size:
            same = hashlib.sha256(data).hexdigest() == message.checksum
            if same:
                self.ack(message.attempt, message.number, ArtifactState.COMPLETE)
                return
            data.clear()
        state = ArtifactState.UPLOADING
        self.ack(message.attempt, message.number, state, len(data), again=True)

    def ack(
        self,
        key: AttemptId,
        number: int,
        state: ArtifactState,
        offset: int = 0,
        again: bool = False,
    ) -> None:
        self.sender.answered(
            ArtifactAck(attempt=key, number=number, state=state, offset=offset, again=again)
        )

    def _write(self, frame: memoryview) -> bool:
        if not self.up:
            return False
        chunk = decode_chunk(bytes(frame))
        assert isinstance(chunk, ArtifactChunk)
        data = self.stored[chunk.attempt, chunk.number]
        assert chunk.offset == len(data)
        data += chunk.payload
        self.order.append(chunk.attempt)
        return True

    def pump(self) -> None:
        """Send what may be sent, and acknowledge it."""
        while self.sender.step():
            key = self.order[-1]
            number = max(n for k, n in self.stored if k == key)
            data = self.stored[key, number]
            self.ack(key, number, ArtifactState.UPLOADING, len(data))
            last = next(
                m for m in reversed(self.said) if isinstance(m, Artifact) and m.attempt == key
            )
            if len(data) == last.size:
                self._judge(last, data)

    async def until_done(self, *keys: AttemptId) -> None:
        def over() -> bool:
            self.pump()
            self.sender.turn()
            return set(keys) <= set(self.over)

        await until(over)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    yield world
    world.sender.close()


async def test_files_arrive_whole(world: World) -> None:
    contents = [os.urandom(3_000_000), b"", b"hi"]
    key = world.add(*contents)
    assert world.sender.pending == 1 and not world.said
    world.sender.begin()
    await world.until_done(key)
    assert [bytes(world.stored[key, n]) for n in (1, 2, 3)] == contents
    assert world.sender.pending == 0


async def test_attempts_take_turns(world: World) -> None:
    keys = [world.add(os.urandom(2_000_000)) for _ in range(module.AT_ONCE + 2)]
    assert world.sender.pending == len(keys)
    world.sender.begin()
    await until(lambda: len({m.attempt for m in world.said}) == module.AT_ONCE)  # type: ignore[union-attr]
    await until(lambda: len(world.stored) == module.AT_ONCE)
    for _ in range(module.AT_ONCE):
        assert world.sender.step()
    assert sorted(world.order) == sorted(keys[: module.AT_ONCE])
    for key in set(world.order):
        size = len(world.stored[key, 1])
        world.ack(key, 1, ArtifactState.UPLOADING, size)
    await world.until_done(*keys)


async def test_a_cut_costs_what_was_in_flight(world: World) -> None:
    content = os.urandom(3_000_000)
    key = world.add(content)
    world.sender.begin()
    await until(lambda: (key, 1) in world.stored)
    assert world.sender.step() and world.sender.step()
    half = len(world.stored[key, 1])
    del world.stored[key, 1][half // 2 :]
    world.sender.stop()
    assert not world.sender.step(), "without a link nothing is sent"
    world.sender.begin()
    await world.until_done(key)
    assert bytes(world.stored[key, 1]) == content


async def test_a_server_that_does_not_answer_hears_it_again(world: World) -> None:
    world.answers = False
    key = world.add(b"x")
    world.sender.begin()
    await until(lambda: len(world.said) == 1)
    world.sender.turn()
    assert len(world.said) == 1
    world.now += 61
    world.sender.turn()
    assert len(world.said) == 2 and world.said[0] == world.said[1]
    world.answers = True
    world.answer(world.said[-1])
    await world.until_done(key)


async def test_what_never_comes_on_is_dropped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GIVE_UP", 10)
    world.answers = False
    key = world.add(b"x")
    for _ in range(20):
        world.sender.turn()
    assert not world.over, "without a link it waits for ever"
    world.sender.begin()
    await until(lambda: bool(world.said))
    for _ in range(12):
        world.sender.turn()
    assert world.over == [key]


async def test_files_that_change_or_vanish_are_given_up(world: World) -> None:
    key = world.add(b"1", b"2", b"3")
    folder = world.root / str(key)
    (folder / "f1").unlink()
    (folder / "f2").write_bytes(b"22")
    world.sender.begin()
    await world.until_done(key)
    lost = [m for m in world.said if isinstance(m, ArtifactLost)]
    assert [m.number for m in lost] == [1, 2]
    assert "No such file" in lost[0].reason and "size has changed" in lost[1].reason
    assert bytes(world.stored[key, 3]) == b"3"


async def test_a_file_that_shrinks_while_it_is_sent(world: World) -> None:
    key = world.add(os.urandom(2_000_000))
    world.sender.begin()
    await until(lambda: (key, 1) in world.stored)
    assert world.sender.step()
    os.truncate(world.root / str(key) / "f1", 1_000)
    await world.until_done(key)
    assert isinstance(world.said[-1], ArtifactLost)


async def test_a_host_that_is_short_of_files_tries_again(world: World) -> None:
    world.scarce = 1
    key = world.add(b"x")
    world.sender.begin()
    await world.until_done(key)
    assert bytes(world.stored[key, 1]) == b"x"


async def test_the_end_of_the_agent_gives_nothing_up(world: World) -> None:
    world.sender.begin()
    world.add(b"x")
    world.sender.close()
    await asyncio.sleep(0)
    await asyncio.gather(*world.sender._tasks)
    assert not world.said and not world.over


async def test_answers_about_others_are_ignored(world: World) -> None:
    world.ack(new_key(), 1, ArtifactState.COMPLETE)
    assert not world.over
