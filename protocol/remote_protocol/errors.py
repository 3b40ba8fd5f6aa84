"""What can go wrong between two peers, and who is guilty. Pure: types only.

    ProtocolError
    ├── LocalProtocolError     this side broke the rules: our bug, it raises
    └── RemoteProtocolError    the peer broke the rules: the link is closed with `code`

The split follows h11: a remote violation is data to be handled, a local one is a defect.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class CloseCode(IntEnum):
    """WebSocket close codes of the agent link (RFC 6455 §7.4; 4000–4999 are for applications)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    INTERNAL = 1011
    TRY_AGAIN = 1013
    BAD_MESSAGE = 4000
    UNSUPPORTED_VERSION = 4001
    FENCED = 4002
    """A newer session of the same agent took over (I2 for links: the newest wins)."""
    SILENT = 4003
    """No heartbeat for several intervals."""
    UNREGISTERED = 4004
    """The agent was deleted or its token revoked while it was connected."""
    COPIED = 4005
    """Another installation of the agent holds its name, and is alive."""


class ErrorCode(StrEnum):
    """Stable `code` of a problem+json answer (RFC 9457) and of an `error` message."""

    BAD_MESSAGE = "bad_message"
    BAD_REQUEST = "bad_request"
    BODY_TOO_LARGE = "body_too_large"
    CONFLICT = "conflict"
    INPUT_GAP = "input_gap"
    """Bytes of a job's input before those sent are missing; `GET …/input` tells where to go on."""
    CONTENT_GAP = "content_gap"
    """Bytes of a content before those sent are missing; `GET /contents/…` tells where to go on."""
    CONTENT_MISSING = "content_missing"
    """A job names content that whoever submits it has not sent, or that is kept no longer."""
    INTERNAL = "internal"
    INVALID_TOKEN = "invalid_token"
    EXPIRED_TOKEN = "expired_token"
    USED_TOKEN = "used_token"
    WRONG_TOKEN_KIND = "wrong_token_kind"
    FORBIDDEN = "forbidden"
    MISSING_TOKEN = "missing_token"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    UNKNOWN_QUEUE = "unknown_queue"
    UNKNOWN_AGENT = "unknown_agent"
    NAME_TAKEN = "name_taken"
    OVERLOADED = "overloaded"
    REQUEST_TIMEOUT = "request_timeout"
    RELAY_FAILED = "relay_failed"
    """The program behind a relay gave no answer that could be passed on."""
    RELAY_TIMEOUT = "relay_timeout"
    STORE_UNAVAILABLE = "store_unavailable"
    TOO_MANY_REQUESTS = "too_many_requests"
    UNSUPPORTED_ENCODING = "unsupported_encoding"
    UNSUPPORTED_VERSION = "unsupported_version"
    VALIDATION = "validation"


class ProtocolError(Exception):
    """Base of everything that breaks the rules of the protocol."""


class LocalProtocolError(ProtocolError):
    """This side asked for something the protocol forbids: a bug of ours."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something the protocol forbids.

    `code` is the WebSocket close code with which the link must be closed.
    """

    def __init__(self, message: str, code: CloseCode = CloseCode.BAD_MESSAGE) -> None:
        super().__init__(message)
        self.code = code
