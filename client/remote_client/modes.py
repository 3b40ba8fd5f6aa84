"""One method for both kinds of callers: those that wait in their thread, and those that await.

The client is written once, as coroutines over a small port to the network (`network`). Over the
port that blocks, a coroutine never suspends: a single step runs it to its end, without any event
loop. `Client.job(id)` and `await AsyncClient.job(id)` are one and the same code. Touches nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")


class Awaiting:
    """Whose methods are awaited."""


class Blocking:
    """Whose methods return when they are done: those of `_core`, over a network that blocks."""

    _core: Any


def run(coroutine: Coroutine[Any, Any, R]) -> R:
    """The result of a coroutine that awaits nothing but a network that blocks."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: R = done.value
        return result
    coroutine.close()
    raise RuntimeError("a blocking client waited for an event loop")


def iterate(items: AsyncGenerator[R, None]) -> Iterator[R]:
    """The items of such a generator; it is closed with the iterator."""
    try:
        while True:
            try:
                item = run(_next(items))
            except StopAsyncIteration:
                return
            yield item
    finally:
        run(_close(items))


async def _next(items: AsyncGenerator[R, None]) -> R:
    return await anext(items)


async def _close(items: AsyncGenerator[R, None]) -> None:
    await items.aclose()


class method(Generic[P, R]):
    """Makes an `async def` the method of both."""

    def __init__(self, body: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> None:
        self.body = body
        self.__doc__ = body.__doc__

    @overload
    def __get__(self, instance: Blocking, owner: type) -> Callable[P, R]: ...
    @overload
    def __get__(self, instance: Awaiting, owner: type) -> Callable[P, Awaitable[R]]: ...
    @overload
    def __get__(self, instance: None, owner: type) -> method[P, R]: ...
    def __get__(self, instance: object, owner: type) -> Any:
        if instance is None:
            return self
        if not isinstance(instance, Blocking):
            return MethodType(self.body, instance)
        core, body = instance._core, self.body
        return lambda *args, **named: run(body(core, *args, **named))


class stream(Generic[P, R]):
    """Makes an async generator function the iterator of both."""

    def __init__(self, body: Callable[Concatenate[Any, P], AsyncGenerator[R, None]]) -> None:
        self.body = body
        self.__doc__ = body.__doc__

    @overload
    def __get__(self, instance: Blocking, owner: type) -> Callable[P, Iterator[R]]: ...
    @overload
    def __get__(self, instance: Awaiting, owner: type) -> Callable[P, AsyncIterator[R]]: ...
    @overload
    def __get__(self, instance: None, owner: type) -> stream[P, R]: ...
    def __get__(self, instance: object, owner: type) -> Any:
        if instance is None:
            return self
        if not isinstance(instance, Blocking):
            return MethodType(self.body, instance)
        core, body = instance._core, self.body
        return lambda *args, **named: iterate(body(core, *args, **named))
