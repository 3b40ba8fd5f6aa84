"""Strangers without a token: connections that say little, inflating bodies, malformed requests."""

from __future__ import annotations

import contextlib
import gzip
import os
import resource
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from benchmarks.bed import cpu_seconds
from tests.hostile.place import Place, Placed
from tests.support.rogues import dial, read_reply
from tests.support.stack import until

pytestmark = pytest.mark.timeout(300)  # An attack takes a while on a busy machine.
ADDRESSES = tuple(f"127.0.0.{number}" for number in range(66, 96))


def ask(
    place: Place, request: bytes, source: str = ADDRESSES[0], patience: float = 10.0
) -> int | None:
    """The status of the answer; None when the server hangs up, or waits for more."""
    with dial(place.stack.port, source, patience) as link:
        with contextlib.suppress(OSError):
            link.sendall(request)
        with contextlib.suppress(OSError):
            reply = read_reply(link)
            return reply.status if reply else None
        return None


# Inflating bodies ------------------------------------------------------------------------------

CODINGS = ("gzip", "x-gzip", "deflate", "gzip, gzip", "GZIP", "identity, gzip", "br", "zstd")


@cache
def coded(coding: str) -> bytes:
    """A short body that says to be a long one."""
    if coding == "br":
        return b"\x1b" * 100_000
    if coding == "zstd":
        return b"\x28\xb5\x2f\xfd" * 10_000
    if coding == "deflate":
        return zlib.compress(b" " * (1 << 27))
    if coding == "gzip, gzip":
        return gzip.compress(coded("gzip"))
    return gzip.compress(b" " * (1 << 27)) if coding == "gzip" else coded("gzip")


@pytest.mark.parametrize("target", ["GET /healthz", "POST /api/v1/jobs", "GET /no/such"])
def test_a_coded_body_is_not_decoded(place: Place, target: str) -> None:
    for coding in CODINGS:
        body = coded(coding)
        head = f"{target} HTTP/1.1\r\nHost: x\r\nContent-Encoding: {coding}\r\n"
        whole = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        spent = cpu_seconds(place.stack.server.pid)
        statuses = {ask(place, whole) for _ in range(5)}
        assert statuses <= {400, 401, 404, 413, 415, None}, (coding, statuses)
        assert cpu_seconds(place.stack.server.pid) - spent < 0.5, coding


def test_coded_bodies_stall_nobody(place: Place) -> None:
    body = coded("gzip")
    head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
    whole = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    transfer = b"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    transfer += b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    with place.attacked():
        for request in (whole, chunked) * 5:
            assert ask(place, request) in (415, 400, None)
        # A transfer coding may also be passed over with the body, which nobody reads.
        assert {ask(place, transfer) for _ in range(5)} <= {200, 400, 415, 501, None}


# Connections -----------------------------------------------------------------------------------


@pytest.fixture
def many_files() -> Iterator[None]:
    """Thousands of sockets for this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def flood(
    place: Place, held: ExitStack, count: int, said: bytes, source: str
) -> list[socket.socket]:
    """Open connections that say this and no more."""
    links = []
    for _ in range(count):
        with contextlib.suppress(OSError):
            link = held.enter_context(dial(place.stack.port, source, 2.0))
            link.setblocking(False)
            with contextlib.suppress(OSError):
                link.send(said)
            links.append(link)
    return links


def hung_up(link: socket.socket) -> bool:
    """Whether the server has closed a connection."""
    try:
        while data := link.recv(65536):
            assert data
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


BEGUN = {
    "nothing": b"",
    "half a line": b"GET /healt",
    "unfinished headers": b"GET /healthz HTTP/1.1\r\n" + b"X-A: " + b"a" * 8_000 + b"\r\n",
    "120 KB of headers": b"GET / HTTP/1.1\r\n" + (b"X-A: " + b"a" * 4_000 + b"\r\n") * 30,
    "kept alive": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("begun", ["nothing", "unfinished headers", "kept alive"])
def test_idle_connections_of_one_address_keep_nobody_out(placed: Placed, begun: str) -> None:
    with (
        placed(LIMITS_MAX_CONNECTIONS="2400") as place,
        place.attacked() as watch,
        ExitStack() as held,
    ):
        links = flood(place, held, 500, BEGUN[begun], ADDRESSES[0])
        until(lambda: sum(not hung_up(link) for link in links) <= 300, "most are turned out")
        place.short()
        # An address of its own is not shut out by others'.
        assert ask(place, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", ADDRESSES[1], 30.0) == 200
        assert watch.logged < 200_000


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("begun", ["nothing", "120 KB of headers"])
def test_idle_connections_of_many_addresses_keep_nobody_out(placed: Placed, begun: str) -> None:
    # Who comes last waits until the thousands before are accepted, though nobody holds the loop.
    with placed() as place, place.attacked(most_held=5) as watch, ExitStack() as held:
        for source in ADDRESSES[:20]:
            flood(place, held, 200, BEGUN[begun], source)
        place.short()
        # Who is known finds room: the agent, also when it has to come again, and an admin.
        agent = place.stack.agents["honest"]
        agent.kill()
        agent.start()
        place.stack.online("honest")
        place.short()
        assert place.client.version().product == "remote-server"
        assert watch.logged < 400_000


@pytest.mark.usefixtures("many_files")
def test_unfinished_headers_are_waited_for_a_short_time_only(placed: Placed) -> None:
    with placed() as place, place.attacked(), ExitStack() as held:
        links = []
        for said in BEGUN.values():
            link = held.enter_context(dial(place.stack.port, ADDRESSES[0]))
            link.sendall(said)
            link.setblocking(False)
            links.append(link)
        until(lambda: all(hung_up(link) for link in links), "all are hung up on", 90)


@pytest.mark.usefixtures("many_files")
def test_few_file_descriptors_are_no_end(placed: Placed) -> None:
    with placed() as place:
        pid = place.stack.server.pid
        limit = len(os.listdir(f"/proc/{pid}/fd")) + 60
        with place.attacked() as watch, ExitStack() as held:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, limit))
            for source in ADDRESSES:
                flood(place, held, 10, b"", source)
            time.sleep(3)  # What the server says meanwhile is what is looked at.
            assert watch.logged < 100_000
            held.close()
            until(lambda: ask(place, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") == 200, "room")
            # Without descriptors new clients wait, for which there is no cure.
            watch.count_from_now()


# Malformed requests ----------------------------------------------------------------------------

MALFORMED = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100,
    b"GARBAGE\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nBad Name: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nA: \0\r\n\r\n",
    b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nA: " + b"a" * 100_000 + b"\r\n\r\n",
    b"A" * 100_000,
    b"\r\n" * 10_000,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)


def test_malformed_requests_do_not_fill_the_log(place: Place) -> None:
    with place.attacked() as watch:
        for _ in range(20):
            for request in MALFORMED:
                status = ask(place, request, patience=0.2)
                assert status is None or 400 <= status < 500 or status == 505, (request, status)
        assert "Traceback" not in watch.said()
        assert watch.logged < 40_000


BAD_HEADERS = (
    ("GET", "/api/v1/jobs", b"Authorization: Bearer rpt_\xff"),
    ("GET", "/api/v1/jobs", b"Authorization: Bearer \xff\xfe"),
    ("GET", "/metrics", b"Authorization: Bearer rpt_\xe9"),
    ("GET", "/", b"Accept: \xff"),
    ("GET", "/", b"Accept: */*;q=\xb2"),
    ("POST", "/api/v1/agent/register", b"Authorization: Bearer rrt_\xff"),
    ("GET", "/api/v1/agent/session", b"Authorization: Bearer rat_\xff"),
    ("GET", "/%ff?\xff", b"Host: \xff"),
)


@pytest.mark.parametrize(("method", "path", "header"), BAD_HEADERS)
def test_bad_bytes_in_headers_are_the_callers_fault(
    place: Place, method: str, path: str, header: bytes
) -> None:
    head = method.encode() + b" " + path.encode("latin-1") + b" HTTP/1.1\r\nHost: x\r\n"
    status = ask(place, head + header + b"\r\n\r\n")
    assert status is None or 400 <= status < 500


def test_readyz_writes_nothing(place: Place) -> None:
    def written() -> int:
        with open(f"/proc/{place.stack.server.pid}/io") as file:
            return int(next(line for line in file if line.startswith("write_bytes")).split()[1])

    assert ask(place, b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n") == 200
    before = written()
    for _ in range(200):
        assert ask(place, b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n") in (200, 429, 503)
    assert written() - before < 1 << 20
