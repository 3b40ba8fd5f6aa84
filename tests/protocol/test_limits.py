"""The limits fit each other."""

from __future__ import annotations

from remote_protocol import limits
from remote_protocol.codec import HEADER_SIZE


def test_a_chunk_fits_its_frame() -> None:
    assert limits.MAX_PAYLOAD + HEADER_SIZE <= limits.MAX_CHUNK_FRAME


def test_a_window_holds_several_chunks() -> None:
    assert limits.WINDOW >= 4 * limits.MAX_PAYLOAD


def test_the_largest_job_fits_an_offer() -> None:
    # Base64 makes four bytes of three; an offer holds the job and little more.
    encoded = limits.MAX_FILES_SIZE * 4 // 3
    job = encoded + limits.MAX_SCRIPT_SIZE + limits.MAX_ENV_SIZE
    assert job < limits.MAX_JOB_BODY < limits.MAX_SERVER_MESSAGE


def test_versions() -> None:
    assert limits.OLDEST_PROTOCOL_VERSION <= limits.PROTOCOL_VERSION
    assert f"remote-agent.v{limits.OLDEST_PROTOCOL_VERSION}" == limits.SUBPROTOCOL
