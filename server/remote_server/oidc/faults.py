"""Why a sign-in by the provider fails. The texts are sentences with cause and cure, and hold no
code, token or secret."""

from __future__ import annotations

from remote_protocol.errors import ErrorCode
from remote_server.errors import ServerError


class ProviderFault(ServerError):
    """The provider cannot be asked, or does not answer as it should: who signs in cannot help it.

    `cure` is for the administrator.
    """

    code = ErrorCode.OVERLOADED

    def __init__(self, cause: str, cure: str) -> None:
        super().__init__(f"{cause}; {cure}")


class SignInRefused(ServerError):
    """The provider's answer does not let this person in; `code` says which refusal it is."""

    def __init__(self, detail: str, code: ErrorCode = ErrorCode.INVALID_TOKEN) -> None:
        super().__init__(detail)
        self.code = code
