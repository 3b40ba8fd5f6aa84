"""What is done with artifacts for API and pages is tested where it is called; here the ranges."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from remote_protocol.artifacts import ArtifactState
from remote_server.domain.model import StoredArtifact
from remote_server.web.actions.artifacts import _range
from remote_server.web.http.problems import ApiProblem

ONE = StoredArtifact(1, "a", 100, "0" * 64, ArtifactState.COMPLETE)
TAG = f'"{ONE.checksum}"'


@pytest.mark.parametrize(
    ("given", "offset", "found"),
    [
        ("", 0, (0, 100, 200)),
        ("", 100, (100, 100, 200)),
        ("bytes=0-", 0, (0, 100, 206)),
        ("bytes=99-99", 0, (99, 100, 206)),
        ("bytes=1-9999", 0, (1, 100, 206)),
        ("bytes=9-1", 0, (0, 100, 200)),
        ("bytes=x-", 7, (7, 100, 200)),
    ],
)
def test_ranges(given: str, offset: int, found: tuple[int, int, int]) -> None:
    headers = {"Range": given} if given else {}
    request = make_mocked_request("GET", "/", headers=headers)
    assert _range(request, ONE, TAG, offset) == found


@pytest.mark.parametrize(("given", "offset"), [("bytes=100-", 0), ("", 101)])
def test_beyond_the_end(given: str, offset: int) -> None:
    request = make_mocked_request("GET", "/", headers={"Range": given})
    with pytest.raises(ApiProblem):
        _range(request, ONE, TAG, offset)
