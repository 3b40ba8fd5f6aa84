"""Who may make a call: the kinds of token it takes, the least role, and whether tokens that are
limited to queues do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from remote_protocol.ids import Role, TokenKind


@dataclass(frozen=True, slots=True)
class AccessRule:
    """Kinds of token that a call takes, and for API tokens the least role. No kinds: anybody."""

    kinds: frozenset[TokenKind] = frozenset()
    role: Role | None = None
    limited: bool = False
    """Tokens that are limited to queues are taken, too: the call finds only what belongs to these
    (`web.limited`). Without it they are refused, so that a new call gives nothing away."""

    @property
    def words(self) -> str:
        """The kinds it takes, for people."""
        return " or ".join(
            f"{'an' if kind.words[0] in 'aeiouA' else 'a'} {kind.words} ({kind.value}…)"
            for kind in TokenKind
            if kind in self.kinds
        )


_API: Final = frozenset({TokenKind.API})
PUBLIC: Final = AccessRule()
VIEWER: Final = AccessRule(_API, Role.VIEWER)
OPERATOR: Final = AccessRule(_API, Role.OPERATOR)
ADMIN: Final = AccessRule(_API, Role.ADMIN)
QUEUE_VIEWER: Final = AccessRule(_API, Role.VIEWER, limited=True)
QUEUE_OPERATOR: Final = AccessRule(_API, Role.OPERATOR, limited=True)
AGENT: Final = AccessRule(frozenset({TokenKind.AGENT}))
ENROL: Final = AccessRule(frozenset({TokenKind.REGISTRATION, TokenKind.AGENT}))
