"""When the agent's own log is sent: after everything else, one piece at a time."""

from __future__ import annotations

import pytest

from remote_agent.connection.log_sender import OFF, PATIENT, UNANSWERED, LogSender
from remote_protocol.messages import OwnLog


class Log:
    """A log whose cursors are numbers."""

    def __init__(self) -> None:
        self.size = 1
        self.reads: list[str] = []
        self.error: OSError | None = None

    def read(self, cursor: str, level: str) -> tuple[list[str], str] | None:
        self.reads.append(cursor)
        if self.error is not None:
            raise self.error
        at = int(cursor or 0)
        return None if at >= self.size else ([f"{level} {at}"], str(at + 1))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def sent() -> list[OwnLog]:
    return []


@pytest.fixture
def sender(log: Log, sent: list[OwnLog]) -> LogSender:
    return LogSender(log, sent.append, "info")  # type: ignore[arg-type]


def test_one_piece_until_it_is_kept(log: Log, sender: LogSender, sent: list[OwnLog]) -> None:
    log.size = 2
    sender.begin("")
    for _ in range(3):
        sender.turn(busy=False)
    assert sent == [OwnLog(cursor="1", lines=["info 0"])]
    sender.stored("1")
    sender.turn(busy=False)
    assert sent[1:] == [OwnLog(cursor="2", lines=["info 1"])]


def test_nothing_without_a_link_or_when_it_is_not_wanted(
    log: Log, sender: LogSender, sent: list[OwnLog]
) -> None:
    sender.turn(busy=False)
    sender.begin("")
    sender.begin(None)
    sender.turn(busy=False)
    sender.stored("1")
    sender.turn(busy=False)
    sender.begin("")
    sender.level = OFF
    sender.turn(busy=False)
    assert not sent and not log.reads


def test_a_new_link_goes_on_where_the_server_says(
    log: Log, sender: LogSender, sent: list[OwnLog]
) -> None:
    log.size = 9
    sender.begin("")
    sender.turn(busy=False)
    sender.begin(None)
    sender.begin("7")
    sender.turn(busy=False)
    assert [message.cursor for message in sent] == ["1", "8"]


def test_output_of_jobs_goes_ahead(sender: LogSender, sent: list[OwnLog]) -> None:
    sender.begin("")
    for _ in range(PATIENT - 1):
        sender.turn(busy=True)
    assert not sent
    sender.turn(busy=True)
    assert len(sent) == 1, "it is not held back for ever"


def test_what_has_no_answer_is_sent_again(sender: LogSender, sent: list[OwnLog]) -> None:
    sender.begin("")
    for _ in range(UNANSWERED):
        sender.turn(busy=False)
    assert len(sent) == 1
    sender.turn(busy=False)
    assert sent[0] == sent[1]


def test_a_log_that_cannot_be_read_ends_nothing(
    log: Log, sender: LogSender, sent: list[OwnLog]
) -> None:
    sender.begin("")
    log.error = PermissionError(13, "denied")
    sender.turn(busy=False)
    sender.turn(busy=False)
    log.error = None
    sender.turn(busy=False)
    assert len(sent) == 1
