"""Lines of a log that nobody has counted yet."""

from __future__ import annotations

from remote_server.web.actions.log_lines import last_lines
from tests.server.web.logs.test_index import Log


async def test_the_last_lines_of_a_log_that_nobody_has_counted() -> None:
    log = Log()
    log.write(b"".join(b"line %d\n" % number for number in range(5000)) + b"open")
    size = log.logs.length(log.reader.key)
    found = [line.shown()["x"] for line in await last_lines(log.reader, size)]
    assert found[-2:] == ["line 4999", "open"] and len(found) == 40
    assert await last_lines(log.reader, 0) == []
