"""Bodies of the calls by which a program gets a token that a person confirms in their browser
(OAuth 2.0 Device Authorization Grant, RFC 8628, in our own words). Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from remote_protocol.api.bodies import Body, View
from remote_protocol.api.tokens import TokenCreated
from remote_protocol.ids import Name, Role

Secret = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_-]{1,64}$")]


class LoginBegin(Body):
    """`POST /logins`."""

    name: Name
    """What the token is to be called: who asks, and on which host."""
    role: Role | None = None
    """What the page offers first, as far as the person has it; default: viewer."""


class LoginBegun(View):
    """A login that waits for a person."""

    secret: str
    """What the program asks with; nobody else may know it."""
    code: str
    """What the person compares: shown by the program and by the page."""
    page: str
    """The page that confirms, relative to the server's URL."""
    expires_in: float
    interval: float
    """Seconds between two questions; sooner ones are refused (429), and lengthen it."""


class LoginAsk(Body):
    """`POST /logins/token`."""

    secret: Secret = Field(repr=False)


class LoginAnswer(View):
    """What became of a login."""

    state: Literal["pending", "refused", "confirmed"]
    token: TokenCreated | None = None
    """With `confirmed`: given once."""
