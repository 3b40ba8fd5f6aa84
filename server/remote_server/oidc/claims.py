"""What an ID token says of a person, and which role that gives. Pure.

The signature is checked before; here are the rules of OpenID Connect Core 1.0 §3.1.3.7 that a
library cannot know, and the mapping of groups to roles.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from remote_protocol.ids import Role
from remote_server.oidc.faults import ProviderFault, SignInRefused
from remote_server.oidc_settings import EVERYBODY, OidcPart

_MOST_GROUPS: Final = 2000
_LONGEST: Final = 256
"""Characters of a name or a group."""
_SHOWN: Final = 10
_LEFT_OUT: Final = ("_claim_names", "hasgroups")
"""Claims by which Entra says that somebody has too many groups for a token."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom the provider vouches for."""

    subject: str
    """Hash of issuer and subject: the same person at every sign-in, whatever they are called."""
    name: str
    """As in `oidc:alice@example.com`."""
    role: Role | None
    """None: none of their groups gives one."""
    why: str = ""
    """Why not, and what helps."""


def require_for_us(
    claims: Mapping[str, Any], client_id: str, nonce: str, now: float, skew: float
) -> None:
    """SignInRefused when an ID token was made for another client or another sign-in, ProviderFault
    when the clocks do not agree."""
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != client_id:
        raise SignInRefused("the provider's token is meant for other programs than this server")
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise SignInRefused("the provider's token belongs to another sign-in; sign in again")
    issued = claims.get("iat")
    if isinstance(issued, int | float) and abs(now - issued) > skew + _FRESH:
        raise clocks_differ(issued - now)


_FRESH: Final = 120.0
"""Seconds that an ID token may take from the provider to us."""


def clocks_differ(seconds: float | None) -> ProviderFault:
    """The ProviderFault of a clock that is wrong; `seconds`: how far the provider's is ahead."""
    by = "" if seconds is None else f" by {abs(seconds):.0f} s"
    return ProviderFault(
        f"the clocks of the provider and of this server differ{by}",
        "set this host's clock (NTP), or allow more by [oidc] clock_skew",
    )


def person(claims: Mapping[str, Any], settings: OidcPart) -> Person:
    """Who signs in, with the highest role of their groups. ProviderFault when the provider says
    too little."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject or len(subject) > _LONGEST:
        raise ProviderFault(
            "the provider's token has no usable claim sub", "this is no OpenID provider's"
        )
    name = _name(claims, settings.name_claim) or subject
    role, why = _judge(name, claims, settings)
    return Person(subject_of(str(claims.get("iss")), subject), f"oidc:{name}", role, why)


def subject_of(issuer: str, subject: str) -> str:
    """How a person is found again; no token's text has this hash."""
    return sha256(f"oidc {issuer}\0{subject}".encode()).hexdigest()


def role_of(groups: tuple[str, ...], settings: OidcPart) -> Role | None:
    """The highest role that any of the groups gives; None: none."""
    for role, named in (
        (Role.ADMIN, settings.admin_groups),
        (Role.OPERATOR, settings.operator_groups),
        (Role.VIEWER, settings.viewer_groups),
    ):
        if not set(groups).isdisjoint(named):
            return role
    return Role.VIEWER if EVERYBODY in settings.viewer_groups else None


def _name(claims: Mapping[str, Any], wanted: str) -> str:
    """What the person is called: printable, without spaces, bounded."""
    for claim in (wanted, "email"):
        value = _found(claims, claim)
        if isinstance(value, str) and value.strip():
            kept = "".join(c if c.isprintable() and not c.isspace() else "_" for c in value.strip())
            return kept[:_LONGEST]
    return ""


def _judge(name: str, claims: Mapping[str, Any], settings: OidcPart) -> tuple[Role | None, str]:
    """The role, or why there is none."""
    claim = settings.groups_claim
    value = _found(claims, claim)
    why = ""
    if value is None and any(one in claims for one in _LEFT_OUT):
        raise ProviderFault(
            f"the provider left the claim {claim!r} out, because this person has too many groups",
            'use application roles (groups_claim = "roles"), or have only the groups of this '
            "application put into the token",
        )
    if value is None:
        known = ", ".join(sorted(str(one)[:64] for one in claims)[:40])
        why = (
            f"the provider says nothing of your groups (the claim {claim!r}): have it put them "
            f"into ID tokens, or name another claim by [oidc] groups_claim; it gave {known}"
        )
    elif claim == "email" and claims.get("email_verified") is not True:
        value, why = None, "the provider has not verified your e-mail address; have it verified"
    given = value if isinstance(value, list) else [] if value is None else [value]
    groups = tuple(one for one in given[:_MOST_GROUPS] if isinstance(one, str))
    role = role_of(groups, settings)
    return role, "" if role else why or _no_role(name, groups)


def _found(claims: Mapping[str, Any], path: str) -> Any:
    """The value of a claim: by its whole name, or through objects. None: there is none."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for part in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def _no_role(name: str, groups: tuple[str, ...]) -> str:
    has = ", ".join(group[:64] for group in groups[:_SHOWN])
    more = ", …" if len(groups) > _SHOWN else ""
    said = f"is in the groups {has}{more}, none of which gives" if groups else "is in no group with"
    return (
        f"your account {name} {said} a role here; ask an administrator to be put into one that "
        "does, and sign in again"
    )
