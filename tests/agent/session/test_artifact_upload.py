"""One attempt's artifacts: what is said and sent, whatever is lost, repeated or refused."""

from __future__ import annotations

from typing import Any

import pytest

from remote_agent.session.artifact_upload import (
    MOST_ROUNDS,
    UNANSWERED,
    ArtifactUpload,
    FileToSend,
    Stage,
)
from remote_protocol.artifacts import ArtifactState
from remote_protocol.errors import RemoteProtocolError
from remote_protocol.limits import ARTIFACT_WINDOW
from remote_protocol.messages import Artifact, ArtifactAck, ArtifactLost
from tests.support.fake_server import new_key

KEY = new_key()
SUM = "0" * 64
SIZE = 3 * ARTIFACT_WINDOW


def upload(*sizes: int) -> ArtifactUpload:
    return ArtifactUpload(KEY, [FileToSend(n, f"f{n}", size) for n, size in enumerate(sizes, 1)])


def ack(
    number: int = 1, offset: int = 0, state: str = "uploading", again: bool = False
) -> ArtifactAck:
    return ArtifactAck(
        attempt=KEY, number=number, state=ArtifactState(state), offset=offset, again=again
    )


def stage(made: ArtifactUpload) -> Stage:
    """Asked anew: it changes by what is called."""
    return made.stage


def begun(made: ArtifactUpload, offset: int = 0) -> None:
    made.hashing()
    made.hashed(SUM)
    made.announce(0.0)
    made.answered(ack(made.file.number, offset, again=True), 0.0)
    assert stage(made) is Stage.SENDING


def send_all(made: ArtifactUpload) -> None:
    while (length := made.next_chunk()[1]) or made.cursor.sent < made.file.size:
        made.cursor.advance(length)
        made.answered(ack(made.file.number, made.cursor.sent), 0.0)


def test_files_one_after_the_other() -> None:
    made = upload(SIZE, 0)
    assert stage(made) is Stage.WAITING
    assert made.next_chunk() == (0, 0)
    begun(made)
    assert made.next_chunk()[0] == 0
    send_all(made)
    assert made.next_chunk()[1] == 0
    made.answered(ack(1, SIZE, "complete"), 0.0)
    assert stage(made) is Stage.WAITING and made.file == FileToSend(2, "f2", 0)
    made.hashed(SUM)
    assert made.announce(1.0) == Artifact(attempt=KEY, number=2, name="f2", size=0, checksum=SUM)
    made.answered(ack(2, 0, "complete"), 1.0)
    assert stage(made) is Stage.DONE
    assert stage(upload()) is Stage.DONE


def test_no_more_than_a_window_is_under_way() -> None:
    made = upload(SIZE)
    begun(made)
    sent = 0
    while length := made.next_chunk()[1]:
        made.cursor.advance(length)
        sent += length
    assert sent == ARTIFACT_WINDOW
    made.answered(ack(1, 100), 0.0)
    assert made.next_chunk() == (sent, 100)


def test_after_a_lost_link_it_goes_on_where_the_server_is() -> None:
    made = upload(SIZE)
    begun(made)
    made.cursor.advance(made.next_chunk()[1])
    made.disconnected()
    assert stage(made) is Stage.READY and made.next_chunk() == (0, 0)
    made.announce(5.0)
    made.answered(ack(1, 4711), 5.0)
    assert stage(made) is Stage.ANNOUNCED, "that was no answer to it"
    made.answered(ack(1, 4711, again=True), 5.0)
    assert made.next_chunk()[0] == 4711


def test_a_gap_is_filled() -> None:
    made = upload(SIZE)
    begun(made)
    made.cursor.advance(made.next_chunk()[1])
    made.answered(ack(1, 7, again=True), 0.0)
    assert made.next_chunk()[0] == 7


def test_content_that_changes_is_given_up() -> None:
    made = upload(10)
    for _ in range(MOST_ROUNDS - 1):
        begun(made)
        send_all(made)
        made.answered(ack(1, 0, again=True), 0.0)
        assert stage(made) is Stage.WAITING
    begun(made)
    send_all(made)
    made.answered(ack(1, 0, again=True), 0.0)
    lost = made.announce(0.0)
    assert isinstance(lost, ArtifactLost) and "changed while it was sent" in lost.reason
    made.answered(ack(1, 0, "failed"), 0.0)
    assert stage(made) is Stage.DONE


def test_silence_is_answered_by_saying_it_again() -> None:
    made = upload(10)
    begun(made)
    made.check(UNANSWERED)
    assert stage(made) is Stage.SENDING
    made.check(UNANSWERED + 1)
    assert stage(made) is Stage.READY


@pytest.mark.parametrize(
    "late", [{"number": 2}, {"number": 2, "state": "complete"}, {"number": 2, "state": "failed"}]
)
def test_answers_about_other_files_change_nothing(late: dict[str, Any]) -> None:
    made = upload(10, 10)
    begun(made)
    made.answered(ack(**late), 0.0)
    assert stage(made) is Stage.SENDING and made.file.number == 1


def test_more_than_there_is() -> None:
    made = upload(10)
    begun(made)
    with pytest.raises(RemoteProtocolError):
        made.answered(ack(1, 11), 0.0)
