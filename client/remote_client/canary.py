"""What a canary is: a secret that nobody needs, which a job writes everywhere it can. Pure.

Whoever finds it then, in any form, knows where secrets leak.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

MASK: Final = "***"
"""What agents write in the place of a secret."""
PRINTED: Final = ("raw", "environment", "base64", "base64-1", "base64-2", "json", "url")
"""What the job's log says, each on a line that begins with the word."""
_SCRIPT: Final = r"""
e() { printf "$1%s" "$NAME" | base64 | tr -d '\n'; }
printf 'raw %s\n' "$NAME"
printf 'raw %s\n' "$NAME" >&2
printf 'environment %s\n' "$(env | grep '^NAME=')"
printf 'base64 %s\n' "$(e)"
printf 'base64-1 %s\n' "$(e x)"
printf 'base64-2 %s\n' "$(e xy)"
printf 'json %s\n' "$(printf %s "$NAME" | sed 's/"/\\"/g')"
printf 'url %s\n' "$(printf %s "$NAME" | sed 's/ /%20/g; s/"/%22/g; s/&/%26/g; s/+/%2B/g')"
printf 'value=%s\n' "$NAME" >> "$REMOTE_OUTPUTS"
printf 'canary\n' > "$REMOTE_ARTIFACTS/$NAME"
"""


class Canary(NamedTuple):
    """A secret with a value of random digits, and of characters that encodings change."""

    name: str
    digits: str

    @property
    def value(self) -> str:
        """What the secret is set to."""
        return f'canary "{self.digits}" & +1'

    @property
    def script(self) -> str:
        """What its job runs, with sh."""
        return _SCRIPT.replace("NAME", self.name)

    def is_in(self, text: str) -> bool:
        """Whether a text has it, in any form: the digits, which JSON and URLs leave as they are, or
        base64 of the value wherever it begins."""
        return any(form in text for form in (self.digits, *self._base64()))

    def _base64(self) -> list[str]:
        raw = self.value.encode()
        # Without the first and the last characters, which others take part in.
        return [b64encode(b"x" * skipped + raw).decode()[4:-4] for skipped in range(3)]


class Channel(NamedTuple):
    """One place where the secret was looked for."""

    name: str
    result: str
    """`masked`: it was written there, and is not readable; `clean`: it is not there; `leaked`;
    `not tried`: the job could not write it there."""


def judged(
    canary: Canary, written: Mapping[str, str], documents: Mapping[str, object]
) -> list[Channel]:
    """The result for each channel.

    `written` are texts in which the job wrote the secret: masked there is more than absent.
    `documents` are answers of the API about the job, the secret and the server.
    """
    found = [
        Channel(name, _result(canary, text, "masked" if MASK in text else "not tried"))
        for name, text in written.items()
    ]
    return found + [
        Channel(name, _result(canary, json.dumps(document, ensure_ascii=False), "clean"))
        for name, document in documents.items()
    ]


def lines_of(log: str) -> dict[str, str]:
    """The text after each word of PRINTED that a log has."""
    found = {}
    for line in log.splitlines():
        word, _, rest = line.partition(" ")
        if word in PRINTED:
            found[word] = rest
    return {word: found.get(word, "") for word in PRINTED}


def is_proven(channels: Sequence[Channel]) -> bool:
    """Whether it leaks nowhere, and was written to every channel."""
    return all(channel.result in ("masked", "clean") for channel in channels)


def _result(canary: Canary, text: str, otherwise: str) -> str:
    return "leaked" if canary.is_in(text) else otherwise
