"""All live checks in order: each once, and nothing after a failure is taken for passed."""

from __future__ import annotations

import json

from remote_protocol.limits import PROTOCOL_VERSION
from remote_protocol.reachability.ports import Answer
from remote_protocol.reachability.steps import CHECKS, examine
from remote_protocol.reachability.target import Target
from remote_protocol.report import Status
from tests.support.fake_network import FakeNetwork

VERSION = {"product": "remote-server", "version": "1.0", "protocol": PROTOCOL_VERSION, "api": "v1"}
OURS = Answer(200, {"date": "Thu, 01 Jan 1970 00:00:00 GMT"}, json.dumps(VERSION).encode())


def statuses(url: str, network: FakeNetwork, proxy: str | None = None) -> tuple[list[str], bool]:
    found, reached = examine(Target(url, proxy, tunnels=False), network)
    assert [one.check for one in found] == [check.name for check in CHECKS]
    return [one.status[0] for one in found], reached


def test_the_first_failure_ends_them() -> None:
    assert statuses("https://h", FakeNetwork(OURS)) == (list("ppppppp"), True)
    assert statuses("http://h", FakeNetwork(OURS)) == (list("pppsppp"), True)
    assert statuses("http://h", FakeNetwork(resolve=OSError())) == (list("fssssss"), False)
    assert statuses("https://h", FakeNetwork(secure=OSError())) == (list("pppfsss"), False)
    late = FakeNetwork(Answer(407, {}, b""))
    assert statuses("http://h", late, "http://proxy:1") == (list("pfpssss"), False)


def test_what_does_not_end_them() -> None:
    assert statuses("https://h", FakeNetwork(OURS, secure=1.0)) == (list("pppfppp"), True)
    assert statuses("https://h", FakeNetwork(OURS, now=1e6)) == (list("pppppfp"), True)
    other = Answer(200, {}, json.dumps({**VERSION, "protocol": 99}).encode())
    found, reached = examine(Target("https://h"), FakeNetwork(other))
    assert not reached and found[-1].status is Status.FAIL and found[-2].status is Status.SKIP
