"""What people typed in paths and queries of the API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from remote_client.calls import Calls
from remote_client.errors import ApiError, UsageError
from remote_client.network import BlockingNetwork
from remote_client.paths import given, key, segment
from remote_client.transport import Transport
from tests.support.fake_api import TOKEN, FakeApi


@pytest.fixture
def calls(api: FakeApi) -> Iterator[Calls]:
    with closing(Transport(api.url, TOKEN, network=BlockingNetwork(lambda _: None))) as transport:
        yield Calls(transport)


@pytest.mark.parametrize("name", ["..", ".", ""])
def test_a_step_of_a_path_is_no_name(api: FakeApi, calls: Calls, name: str) -> None:
    for call in (calls.job, calls.retry, lambda name: calls.delete("agents", name)):
        with pytest.raises(UsageError, match="is not a name"):
            call(name)
    assert api.calls == []


def test_anything_else_is_one_segment(api: FakeApi, calls: Calls) -> None:
    for name, sent in (
        ("a/b", "a%2Fb"),
        ("../x", "..%2Fx"),
        ("a?b#c", "a%3Fb%23c"),
        ("ä", "%C3%A4"),
    ):
        assert segment(name) == sent
        with pytest.raises(ApiError):
            calls.one("agents", name)
        assert api.calls[-1].path == f"/agents/{sent}"


def test_a_query_has_what_is_given() -> None:
    assert given(a=None, b=0, c=("x", 1), d="") == {"b": "0", "c": ["x", "1"], "d": ""}


def test_keys_are_new() -> None:
    assert len({key() for _ in range(9)}) == 9
