"""`remotectl job logs`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.fake_api import ID, Answer, FakeApi, cri_log


def test_a_download_that_was_cut_is_completed(
    api: FakeApi, ctl: Any, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: Any
) -> None:
    log = cri_log(*(("stdout", b"line %d\n" % n) for n in range(100)))
    monkeypatch.setattr("time.sleep", lambda _: None)
    # A proxy that lost the server ends what it has in good order.
    size = {"Remote-Log-Size": str(len(log)), "Remote-Log-Over": "true"}
    api.on("GET", f"/jobs/{ID}/log", Answer(log[:700], headers=size), log)
    assert ctl("job", "logs", ID) == 0
    assert capfdbinary.readouterr().out == b"".join(b"line %d\n" % n for n in range(100))
