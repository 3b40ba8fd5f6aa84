"""Sending an agent's own log: all of it, in pieces, over both of its files."""

from __future__ import annotations

from tests.support.live_server import Live


async def test_a_long_one_comes_whole(live: Live) -> None:
    await live.register()
    logs = live.services.agent_logs
    for number in range(60):
        lines = [f"{number:02} {piece:02} " + "x" * 1900 for piece in range(40)]
        logs.append("a", lines, str(number))
    start, end = logs.extent("a")
    assert start > 0, "the oldest are gone"
    answer = await live.get("/agents/a/log")
    assert answer.headers["Remote-Log-Offset"] == str(start)
    numbers = [line[:5] for line in answer.text.splitlines()]
    wanted = [f"{number:02} {piece:02}" for number in range(60) for piece in range(40)]
    assert numbers == wanted[-len(numbers) :]
    assert len(answer.text) == end - start
