"""Errors say cause and cure, and carry a stable code."""

from __future__ import annotations

from remote_protocol.errors import ErrorCode
from remote_server import errors
from remote_server.errors import NameTaken, NotFound, Refused, ServerError, UnknownQueue


def test_every_error_has_a_code_and_an_exit_code() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, ServerError)
    ]
    assert len(kinds) >= 8
    for kind in kinds:
        assert isinstance(kind.code, ErrorCode)
        assert kind.exit_code in {1, 2}
        assert f" {kind.__name__}" in (errors.__doc__ or "") or kind is ServerError


def test_an_unknown_queue_names_the_existing_ones() -> None:
    error = UnknownQueue("gpu", ["default", "big"])
    assert str(error).startswith("there is no queue 'gpu'; the queues are: big, default; ")
    assert "remotectl queue create gpu" in str(error)
    assert error.code is ErrorCode.UNKNOWN_QUEUE
    many = UnknownQueue("x", [f"q{number:02}" for number in range(50)])
    assert "q19, …" in str(many) and "q20" not in str(many)
    assert "there are no queues yet" in str(UnknownQueue("x", []))


def test_what_was_not_found_is_named() -> None:
    error = NotFound("job", "01J")
    assert (str(error), error.kind, error.name) == ("there is no job '01J'", "job", "01J")


def test_a_refusal_says_which_one_it_is() -> None:
    assert Refused(ErrorCode.USED_TOKEN, "used up").code is ErrorCode.USED_TOKEN
    assert NameTaken("taken").code is ErrorCode.NAME_TAKEN
