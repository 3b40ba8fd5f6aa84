"""The error tree names the guilty side."""

from __future__ import annotations

from remote_protocol.errors import (
    CloseCode,
    ErrorCode,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
)


def test_both_sides_are_protocol_errors_and_apart() -> None:
    assert issubclass(LocalProtocolError, ProtocolError)
    assert issubclass(RemoteProtocolError, ProtocolError)
    assert not issubclass(RemoteProtocolError, LocalProtocolError)


def test_a_remote_error_says_how_to_close_the_link() -> None:
    assert RemoteProtocolError("garbage").code is CloseCode.BAD_MESSAGE
    error = RemoteProtocolError("too old", CloseCode.UNSUPPORTED_VERSION)
    assert error.code is CloseCode.UNSUPPORTED_VERSION
    assert str(error) == "too old"


def test_close_codes_are_allowed_on_a_websocket() -> None:
    # RFC 6455 §7.4.2: 1000–2999 are of the protocol, 4000–4999 of applications.
    assert {code for code in CloseCode if not 4000 <= code < 5000} == {
        CloseCode.NORMAL,
        CloseCode.GOING_AWAY,
        CloseCode.INTERNAL,
        CloseCode.TRY_AGAIN,
    }


def test_error_codes_are_their_names() -> None:
    assert all(code.value == code.name.lower() for code in ErrorCode)
