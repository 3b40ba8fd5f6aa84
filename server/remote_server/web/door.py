"""The doors of the API: which kinds of token open a call, and the least role. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from remote_protocol.ids import Role, TokenKind


@dataclass(frozen=True, slots=True)
class Door:
    """Who may come in: kinds of token, and for API tokens the least role."""

    kinds: frozenset[TokenKind] = frozenset()
    role: Role | None = None

    @property
    def words(self) -> str:
        """The kinds it takes, for people."""
        return " or ".join(
            f"{'an' if kind.words[0] in 'aeiouA' else 'a'} {kind.words} ({kind.value}…)"
            for kind in TokenKind
            if kind in self.kinds
        )


_API: Final = frozenset({TokenKind.API})
PUBLIC: Final = Door()
VIEWER: Final = Door(_API, Role.VIEWER)
OPERATOR: Final = Door(_API, Role.OPERATOR)
ADMIN: Final = Door(_API, Role.ADMIN)
AGENT: Final = Door(frozenset({TokenKind.AGENT}))
ENROL: Final = Door(frozenset({TokenKind.REGISTRATION, TokenKind.AGENT}))
