"""Specifications of jobs as stored: what is small, an excerpt of what is large, and that. Pure.

Lists read the small part and the excerpt only: a page of a thousand jobs must not read a gigabyte
of scripts and files.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any, Final, NamedTuple

from remote_protocol.limits import MAX_OFFERED
from remote_protocol.spec import JobSpec
from remote_server.errors import JobTooLarge

LARGE: Final = 1024
"""Characters of a field's JSON from which on lists show an excerpt of it."""
EXCERPT: Final = 256
"""Characters of a command or script that an excerpt has."""
_NAMES: Final = 64
_DEFAULTS: Final = 64 * 1024
"""Bytes of JSON that fields with their defaults have at the most, those of all files included."""
_LARGE_FIELDS: Final = ("command", "script", "recipe", "args", "requirements", "env", "files")
_REMEMBERED: Final = 2048
_SMALL: Final = 4096


class SpecTexts(NamedTuple):
    """The columns of a specification."""

    spec: str
    excerpt: str | None = None
    """JSON of the fields that `bulk` has, as lists show them: they are valid fields."""
    bulk: str | None = None
    """JSON of the fields that are large, and of files of any size."""

    @property
    def size(self) -> int:
        """Characters of the whole specification."""
        return len(self.spec) + len(self.bulk or "")


def spec_texts(spec: JobSpec) -> SpecTexts:
    """A specification as stored. ValueError for one with the text of a private input."""
    if isinstance(spec.private_input, str):
        raise ValueError("the text of a private input is never part of what is stored")
    text = spec.short_json
    if len(text) <= LARGE and not spec.files:
        return SpecTexts(text)
    return split(json.loads(text))


def require_offerable(spec: JobSpec, stored: SpecTexts, number: int = 0) -> None:
    """JobTooLarge when an offer cannot carry a specification; `number` counts a batch's jobs from
    1, 0: there is one job only."""
    # Every character has four bytes at the most, and what is not stored is small.
    if 4 * stored.size + _DEFAULTS <= MAX_OFFERED:
        return
    size = len(spec.model_dump_json(exclude_none=True).encode())
    if size > MAX_OFFERED:
        which = f"job {number} of the batch" if number else "the job"
        raise JobTooLarge(
            f"{which} has {size} bytes as JSON, in which a control character takes six; "
            f"{MAX_OFFERED} are the most that an agent can be sent. Make its files, script, "
            "arguments or environment smaller, or send the data as its input"
        )


def split(whole: dict[str, Any]) -> SpecTexts:
    """The columns for a specification that is large, given as the JSON object of its fields."""
    excerpt: dict[str, Any] = {}
    bulk: dict[str, Any] = {}
    for name in _LARGE_FIELDS:
        if name in whole and (name == "files" or len(_text(whole[name])) > LARGE):
            bulk[name] = whole.pop(name)
            excerpt[name] = _cut(name, bulk[name])
    if not bulk:
        return SpecTexts(_text(whole))
    return SpecTexts(_text(whole), _text(excerpt), _text(bulk))


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _cut(name: str, value: Any) -> Any:
    if name in ("files", "requirements"):
        return []
    if name in ("script", "recipe"):
        return _short(value, EXCERPT)
    if name == "env":
        return dict.fromkeys(list(value)[:_NAMES], "")
    left, words = EXCERPT, []
    for word in value:
        words.append(_short(word, max(left, 1)))
        left -= len(words[-1])
        if left <= 0:
            break
    return words


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _together(text: str, other: str | None) -> str:
    """One JSON object of two with different names."""
    if other is None:
        return text
    return other if text == "{}" else f"{text[:-1]},{other[1:]}"


class KnownSpec(NamedTuple):
    """A specification, and its text."""

    spec: JobSpec
    text: str
    """JSON, as `JobSpec.short_json`."""


class Specs:
    """Parses specifications, and remembers the last small ones: a job that was just submitted is
    offered a moment later."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, KnownSpec] = OrderedDict()

    def parse(self, job: str, text: str, bulk: str | None = None) -> JobSpec:
        """The specification of a job from its stored texts."""
        known = self._known.get(job)
        if known is not None:
            return known.spec
        spec = JobSpec.model_validate_json(_together(text, bulk))
        self.remember(job, spec, text, bulk)
        return spec

    def parse_listed(
        self, job: str, text: str, excerpt: str | None
    ) -> tuple[JobSpec, tuple[str, ...]]:
        """The same as lists show it, and the names of the fields that are cut."""
        if excerpt is None:
            return self.parse(job, text), ()
        spec = JobSpec.model_validate_json(_together(text, excerpt))
        return spec, tuple(json.loads(excerpt))

    def known(self, job: str) -> KnownSpec | None:
        """The specification, if it is remembered."""
        return self._known.get(job)

    def remember(self, job: str, spec: JobSpec, text: str, bulk: str | None = None) -> None:
        """Keep a specification and its stored texts, if it is small."""
        if len(text) + len(bulk or "") <= _SMALL:
            self._known[job] = KnownSpec(spec, _together(text, bulk))
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
