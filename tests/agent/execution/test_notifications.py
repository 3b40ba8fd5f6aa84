"""Events of shims: heard as they come, garbage dropped, a long state directory no obstacle."""

from __future__ import annotations

import json
import os
import socket
from contextlib import contextmanager

import pytest

from remote_agent.execution.notifications import FILE, Notification, NotificationSocket, parse
from remote_agent.journal.losses import lost
from tests.support.fake_server import new_key, until


@contextmanager
def listening(state_dir):
    heard: list[tuple] = []
    events = NotificationSocket(state_dir)
    events.open(lambda event: heard.append((event.key, event.what)))
    try:
        yield heard
    finally:
        events.close()
        events.close()


def say(state_dir, *texts: bytes) -> None:
    folder = os.open(state_dir, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:
        for text in texts:
            mouth.sendto(text, f"/proc/self/fd/{folder}/{FILE}")
    os.close(folder)


async def test_an_event_is_heard_and_garbage_is_dropped(tmp_path):
    key = new_key(3)
    with listening(tmp_path) as heard:
        good = b'{"k":"%s","e":"ended"}' % str(key).encode()
        say(tmp_path, b"3", b'{"k":"a.1","e":"grew","size":"x"}', b'{"k":"a.1","e":"x","at":[]}')
        say(tmp_path, b"\xff", b"[]", b'{"k": 1}', b'{"k":"x.y","e":"ended"}', b'{"e":"ended"}')
        say(tmp_path, good)
        await until(lambda: heard)
        assert heard == [(key, "ended")]


async def test_the_socket_of_a_dead_agent_is_replaced_and_private(tmp_path):
    with listening(tmp_path):
        pass
    assert (tmp_path / FILE).exists()
    with listening(tmp_path):
        assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


async def test_a_path_longer_than_a_socket_address(tmp_path):
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    with listening(deep) as heard:
        say(deep, b'{"k":"%s","e":"started"}' % str(new_key()).encode())
        await until(lambda: heard)


async def test_a_directory_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        NotificationSocket(tmp_path / "nowhere").open(lambda event: None)


def test_any_notification_may_have_the_start_and_an_end_its_record():
    key = new_key(3)
    head = b'{"k":"%s","pid":7,"at":2.5,"e":' % str(key).encode()
    grew = parse(head + b'"grew","size":9}')
    assert grew is not None and grew[:5] == (key, "grew", 9, 7, 2.5)
    ended = parse(head + b'"ended"}\n{"exit_code":0}')
    assert ended is not None and (ended.what, ended.pid, ended.record) == ("ended", 7, None)
    assert ended.written == b'{"exit_code":0}'
    bare = parse(head + b'"ended"}')
    assert bare is not None and bare.written == b""
    assert parse(head + b'"ended","pid":-1}\n{}') is None
    assert parse(head + b'"ended","at":"x"}') is None


def test_only_an_end_of_what_has_started_is_taken_from_its_record_on_the_disk():
    key = new_key(3)
    body = lost("", 4, 0, None) | {"exit_code": 3}
    written = json.dumps(body).encode()
    end = Notification(key, "ended", written=written).end(started=True)
    assert end is not None
    assert (end.ended.attempt, end.ended.exit_code, end.ended.size) == (key, 3, 4)
    assert Notification(key, "ended", written=written).end(started=False) is None
    assert Notification(key, "grew", written=written).end(started=True) is None
    assert Notification(key, "ended", written=b"{").end(started=True) is None
    assert Notification(key, "ended").end(started=True) is None


def test_a_record_that_the_disk_did_not_take_is_an_end_in_any_case():
    key = new_key(3)
    body = lost("no room", 0, 0, None)
    for started in (True, False):
        end = Notification(key, "ended", record=body).end(started)
        assert end is not None and end.ended.end_detail == "no room"
        assert Notification(key, "ended", record=body | {"checksum": -1}).end(started) is None
