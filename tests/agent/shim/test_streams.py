"""A job's pipes: apart or merged, with and without an input, and none of them left open."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

from remote_agent.processes import Folder, Poller
from remote_agent.shim.order import Order
from remote_agent.shim.streams import Streams
from remote_protocol.cri import STDERR, STDOUT
from tests.support.shim_harness import ShimHarness


def order(stdin: bool = False, merge: bool = False, payload: bytes = b"") -> Order:
    return Order("J.1", ["true"], {}, "/", stdin=stdin, merge=merge, payload=payload)


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_all_pipes_are_closed_in_the_end(tmp_path: Path) -> None:
    with Folder(tmp_path) as folder:
        gc.collect()  # what earlier tests have left open
        before = descriptors()
        for wanted in (
            order(),
            order(stdin=True),
            order(merge=True),
            order(stdin=True, merge=True),
            order(payload=b"x"),
        ):
            streams = Streams(folder, wanted, Poller())
            stdin, out, err, _ = streams.open()
            has_input = wanted.stdin or bool(wanted.payload)
            assert (stdin is not None) == has_input == (streams.feed is not None)
            assert (out == err) == wanted.merge
            streams.release()
            streams.close()
            streams.close()
            assert descriptors() <= before


def test_streams_are_named(tmp_path: Path) -> None:
    poller = Poller()
    with Folder(tmp_path) as folder:
        streams = Streams(folder, order(), poller)
        _, out, err, _ = streams.open()
        os.write(err, b"e")
        os.write(out, b"o")
        streams.release()
        found = {name: poller.read(pipe, 9) for pipe, name in streams.outputs.items()}
        assert found == {STDOUT: b"o", STDERR: b"e"}
        for pipe in list(streams.outputs):
            poller.add(pipe)
            streams.end(pipe)
        assert not streams.outputs
        streams.close()


def test_merged_output_has_the_order_in_which_it_was_written(harness: ShimHarness) -> None:
    program = (
        "import os\n"
        "for n in range(2000):\n"
        "    os.write(1, b'o%d\\n' % n)\n"
        "    os.write(2, b'e%d\\n' % n)\n"
    )
    run = harness.run([sys.executable, "-I", "-S", "-c", program], merge=True)
    assert run.stdout == b"".join(b"o%d\ne%d\n" % (n, n) for n in range(2000))
    assert run.stderr == b"" and run.record["usage"]["stderr_bytes"] == 0
