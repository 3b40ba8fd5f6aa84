"""One method for both kinds of callers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from remote_client.modes import Awaiting, Blocking, iterate, method, run, stream


class Methods(Awaiting):
    closed = False

    @method
    async def double(self, number: int, *, more: int = 0) -> int:
        """Twice the number."""
        return await self._twice(number) + more

    @stream
    async def count(self, to: int) -> AsyncGenerator[int, None]:
        """Numbers from 0."""
        try:
            for number in range(to):
                yield number
        finally:
            self.closed = True

    async def _twice(self, number: int) -> int:
        if number < 0:
            raise ValueError("too small")
        return 2 * number


class Both(Methods, Blocking):
    def __init__(self) -> None:
        self._core = Methods()


def test_the_blocking_one_returns() -> None:
    blocking = Both()
    assert blocking.double(3, more=1) == 7
    assert list(blocking.count(3)) == [0, 1, 2]
    assert blocking._core.closed
    with pytest.raises(ValueError, match="too small"):
        blocking.double(-1)


async def test_the_other_one_is_awaited() -> None:
    awaiting = Methods()
    assert await awaiting.double(3) == 6
    assert [number async for number in awaiting.count(2)] == [0, 1]


def test_an_iterator_that_is_left_closes_its_source() -> None:
    blocking = Both()
    numbers = blocking.count(10)
    assert next(numbers) == 0
    numbers.close()  # type: ignore[attr-defined] # a generator has it
    assert blocking._core.closed


def test_a_method_keeps_its_words() -> None:
    assert Both.double.__doc__ == "Twice the number."
    assert Methods.count.__doc__ == "Numbers from 0."


def test_what_would_wait_for_a_loop_is_a_mistake() -> None:
    class Waits(Awaiting):
        @method
        async def sleep(self) -> None:
            await asyncio.sleep(0)

    class Wrong(Waits, Blocking):
        def __init__(self) -> None:
            self._core = Waits()

    with pytest.raises(RuntimeError, match="waited for an event loop"):
        Wrong().sleep()


def test_a_fault_in_the_middle_reaches_the_reader() -> None:
    async def numbers() -> AsyncGenerator[int, None]:
        yield 1
        raise OSError("cut")

    got = iterate(numbers())
    assert next(got) == 1
    with pytest.raises(OSError, match="cut"):
        next(got)


def test_run_gives_the_result() -> None:
    async def one() -> int:
        return 1

    assert run(one()) == 1
