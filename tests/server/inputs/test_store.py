"""Inputs as files: each byte once, in order, durable before it is told; bounded; forgotten."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from remote_server.disk.reserve import Disk, Reserve
from remote_server.domain.change_set import ChangeSet
from remote_server.errors import Conflict
from remote_server.inputs import Input, InputStore, InputUnavailable
from remote_server.inputs.store import InputGap, InputTooLarge

JOB, OTHER = "01ARYZ6S410000000000000000", "01ARYZ6S410000000000000001"


class Place:
    """A store whose clock and disk do as they are told."""

    def __init__(self, root: Path, largest: int = 1000) -> None:
        self.now, self.free = 0.0, 1 << 30
        reserve = Reserve(root, 1 << 20, lambda: Disk(1 << 40, self.free), lambda: self.now)
        self.inputs = InputStore(root / "inputs", reserve, lambda: self.now, largest)
        self.inputs.scan()
        self.root = root / "inputs"

    def names(self) -> list[str]:
        return sorted(path.name for path in self.root.iterdir())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_parts_are_put_together_and_the_end_is_kept(place: Place, tmp_path: Path) -> None:
    inputs = place.inputs
    assert await inputs.append(JOB, 0, b"hello ") == Input(6)
    assert await inputs.append(JOB, 6, b"world") == Input(11)
    assert place.names() == [f"{JOB}.open"]
    assert (place.root / f"{JOB}.open").stat().st_mode & 0o777 == 0o600
    assert await inputs.append(JOB, 11, b"", end=True) == Input(11, ended=True)
    assert place.names() == [f"{JOB}.ended"]
    assert inputs.read(JOB, 3, 5) == b"lo wo"
    again = Place(tmp_path).inputs
    assert again.look(JOB) == Input(11, ended=True) and again.known() == [JOB]
    assert again.read(JOB, 0, 11) == b"hello world"


async def test_repeated_bytes_change_nothing_and_a_gap_is_refused(place: Place) -> None:
    inputs = place.inputs
    await inputs.append(JOB, 0, b"0123456789")
    assert await inputs.append(JOB, 0, b"0123456789") == Input(10)
    assert await inputs.append(JOB, 5, b"56789abc") == Input(13)
    with pytest.raises(InputGap, match="has 13 bytes"):
        await inputs.append(JOB, 14, b"x")
    assert inputs.read(JOB, 0, 13) == b"0123456789abc"
    await inputs.append(JOB, 13, b"", end=True)
    assert await inputs.append(JOB, 5, b"56789abc", end=True) == Input(13, ended=True)
    with pytest.raises(Conflict, match="has ended with 13 bytes"):
        await inputs.append(JOB, 13, b"more")


async def test_an_open_input_is_found_again_and_goes_on(place: Place, tmp_path: Path) -> None:
    await place.inputs.append(JOB, 0, b"abc")
    again = Place(tmp_path).inputs
    assert again.look(JOB) == Input(3)
    assert await again.append(JOB, 3, b"def", end=True) == Input(6, ended=True)
    assert again.read(JOB, 0, 6) == b"abcdef"


async def test_an_empty_input_ends(place: Place) -> None:
    assert await place.inputs.append(JOB, 0, b"", end=True) == Input(0, ended=True)
    assert place.names() == [f"{JOB}.ended"]


async def test_an_input_has_a_largest_size(place: Place) -> None:
    await place.inputs.append(JOB, 0, bytes(1000))
    with pytest.raises(InputTooLarge, match="max_job_input"):
        await place.inputs.append(JOB, 1000, b"x")
    assert place.inputs.look(JOB) == Input(1000)
    assert await place.inputs.append(JOB, 1000, b"", end=True) == Input(1000, ended=True)


async def test_a_full_disk_takes_nothing_but_ends(place: Place) -> None:
    await place.inputs.append(JOB, 0, b"abc")
    place.free, place.now = 1000, 10.0
    with pytest.raises(InputUnavailable, match="reserve"):
        await place.inputs.append(JOB, 3, b"def")
    assert await place.inputs.append(JOB, 3, b"", end=True) == Input(3, ended=True)


async def test_a_write_that_fails_leaves_what_was(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.inputs.append(JOB, 0, b"abc")
    path = place.root / f"{JOB}.open"
    path.rename(place.root / "aside")
    path.mkdir()
    with pytest.raises(InputUnavailable, match=JOB):
        await place.inputs.append(JOB, 3, b"def")
    with pytest.raises(InputUnavailable):
        place.inputs.read(JOB, 0, 3)
    path.rmdir()
    (place.root / "aside").rename(path)
    assert await place.inputs.append(JOB, 3, b"def") == Input(6)
    assert place.inputs.read(JOB, 0, 6) == b"abcdef"
    with pytest.raises(InputUnavailable, match="ends before its time"):
        place.inputs.read(JOB, 0, 7)


async def test_watchers_hear_what_is_durable(place: Place) -> None:
    heard: list[tuple[str, Input]] = []

    def watcher(job: str, state: Input) -> None:
        heard.append((job, state))

    assert place.inputs.watch(JOB, watcher) == Input()
    await place.inputs.append(OTHER, 0, b"x")
    await place.inputs.append(JOB, 0, b"abc")
    await place.inputs.append(JOB, 0, b"abc")
    await place.inputs.append(JOB, 3, b"", end=True)
    assert heard == [(JOB, Input(3)), (JOB, Input(3, ended=True))]
    place.inputs.unwatch(JOB, watcher)
    place.inputs.unwatch("unknown", watcher)


async def test_senders_at_the_same_time_do_not_mix(place: Place) -> None:
    whole = bytes(range(200))
    parts = [(start, whole[start : start + 20]) for start in range(0, 200, 10)]

    async def send() -> None:
        for start, part in parts:
            await place.inputs.append(JOB, start, part)

    await asyncio.gather(*(send() for _ in range(5)))
    assert place.inputs.look(JOB) == Input(200)
    assert place.inputs.read(JOB, 0, 200) == whole


async def test_the_input_of_an_ended_job_is_forgotten(place: Place) -> None:
    await place.inputs.append(JOB, 0, b"abc", end=True)
    await place.inputs.append(OTHER, 0, b"abc")
    place.inputs.committed(ChangeSet(ended={JOB, "unknown"}))
    await place.inputs.close()
    assert place.names() == [f"{OTHER}.open"]
    assert place.inputs.look(JOB) is None and place.inputs.known() == [OTHER]


async def test_a_part_that_meets_the_end_of_its_job_leaves_nothing(place: Place) -> None:
    appending = asyncio.ensure_future(place.inputs.append(JOB, 0, b"abc"))
    await asyncio.sleep(0)
    place.inputs.forget([JOB])
    with pytest.raises(Conflict, match="has ended"):
        await appending
    await place.inputs.close()
    assert place.names() == []


async def test_silence_is_counted_from_the_last_word(place: Place, tmp_path: Path) -> None:
    inputs = place.inputs
    inputs.expect(JOB)
    place.now = 50.0
    await inputs.append(OTHER, 0, b"x")
    assert inputs.silent(50) == [JOB]
    inputs.alive(JOB)
    assert inputs.silent(50) == []
    place.now = 120.0
    await inputs.append(OTHER, 1, b"")
    assert inputs.silent(50) == [JOB], "an empty part says that more may come"
    await inputs.append(JOB, 0, b"", end=True)
    place.now = 500.0
    assert inputs.silent(50) == [OTHER], "a complete input may rest"
    assert Place(tmp_path).inputs.silent(1) == [], "a restart counts from zero"
