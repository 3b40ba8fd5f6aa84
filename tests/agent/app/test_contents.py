"""Contents are loaded with the first job that names one, and know then whether there is a link."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, cast

from remote_agent.app.contents import Contents
from remote_agent.execution.content_start import ContentStart
from remote_protocol.codec import ContentChunk
from remote_protocol.messages import ContentLost
from tests.support.driven import SPEC, NoContents
from tests.support.fake_server import new_key


def test_nothing_is_made_before_it_is_needed() -> None:
    made: list[Any] = []

    def make() -> ContentStart:
        made.append(NoContents())
        return cast(ContentStart, made[-1])

    key = new_key()
    contents = Contents(make)
    contents.begin()
    contents.turn()
    contents.drop(key)
    contents.received(ContentChunk(key, 1, 0, memoryview(b"x")))
    contents.lost(ContentLost(attempt=key, number=1, reason="x"))
    assert made == []
    contents.prepare(key, SPEC, lambda: None)
    (one,) = made
    assert one.told == ["begin"] and list(one.prepared) == [key]
    contents.stop()
    contents.drop(key)
    assert one.told == ["begin", "stop"] and one.prepared == {}


def test_the_agent_does_not_load_it_at_its_start() -> None:
    code = (
        "import sys, remote_agent.app.agent; "
        "print([m for m in sys.modules if 'content_' in m and m.startswith('remote_agent.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "execution.content_start" not in done.stdout and "content_cache" not in done.stdout
