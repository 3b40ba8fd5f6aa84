"""Configuration in layers, for both programs: file, environment, flags; every fault named at once.

Pure: the text of the file and the environment are arguments. Later layers win. Each value keeps
its origin (`agent.toml:7`, a variable, a flag), so that a fault can say where to mend it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from remote_protocol.limits import NAME_WORDS

_HEADER: Final = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?")
_KEY: Final = re.compile(r"\s*[\"']?([A-Za-z0-9_.-]+?)[\"']?\s*=")
_AT_LINE: Final = re.compile(r"\s*\(at line (\d+), column (\d+)\)")
M = TypeVar("M", bound=BaseModel)
Place = tuple[str, ...]
"""Path of a key: section, then key."""


class Layers:
    """Values collected from all layers, their origins, and the faults found so far."""

    def __init__(self, sections: Mapping[str, type[BaseModel]]) -> None:
        self.sections = sections
        self.values: dict[str, Any] = {}
        self.origins: dict[Place, str] = {}
        self.faults: list[str] = []

    def read(self, text: str, name: str) -> None:
        """Take the text of a TOML file called `name`."""
        if not text:
            return
        import tomllib  # many programs are told everything by their environment

        try:
            self.values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            at = _AT_LINE.search(str(error))
            line = at[1] if at else str(text.count("\n") + 1)
            self.faults.append(f"{name}:{line}: not valid TOML: {_AT_LINE.sub('', str(error))}")
            return
        section: Place = ()
        for number, line in enumerate(text.splitlines(), 1):
            if header := _HEADER.fullmatch(line):
                section = tuple(part.strip(" \"'") for part in header[1].split("."))
                self.origins.setdefault(section, f"{name}:{number}")
            elif key := _KEY.match(line):
                place = (*section, *key[1].split("."))
                for end in range(len(section) + 1, len(place) + 1):
                    self.origins.setdefault(place[:end], f"{name}:{number}")

    def set(self, section: str, key: str, value: object, origin: str) -> None:
        """Put a value from the environment or a flag over what is there."""
        values = self.values.setdefault(section, {})
        if isinstance(values, dict):
            values[key] = value
            self.origins[section, key] = origin

    def adopt(self, section: str, key: str, value: object, origin: str | None, usual: str) -> None:
        """Put a value over that of the file; without an `origin` only where the file has none,
        and then it comes from `usual`."""
        values = self.values.setdefault(section, {})
        if origin is not None or not isinstance(values, dict) or key not in values:
            self.set(section, key, value, origin or usual)

    def fault(self, place: Place, message: str) -> None:
        """Note a fault at the origin of `place`, or of what holds it."""
        known = next((place[:n] for n in range(len(place), 0, -1) if place[:n] in self.origins), ())
        origin = self.origins.get(known, "configuration")
        where = f"[{place[0]}] {'.'.join(place[1:])}".rstrip()
        self.faults.append(f"{origin}: {where}: {message}")

    def validate(self, model: type[M]) -> M | None:
        """The configuration, or None with every fault noted."""
        try:
            return model.model_validate(self.values)
        except ValidationError as error:
            for fault in error.errors(include_url=False, include_context=False):
                place = tuple(str(part) for part in fault["loc"])
                if fault["type"] == "extra_forbidden":
                    self.fault(place, self._unknown(place))
                elif fault["type"] == "model_type":
                    name = ".".join(place)
                    self.fault(place, f"is a section: write [{name}] on a line of its own")
                else:
                    self.fault(place, fault_words(fault["type"], fault["msg"], fault["input"]))
        return None

    def _unknown(self, place: Place) -> str:
        if len(place) == 1:
            known, word = list(self.sections), "section"
        else:
            known, word = list(self.sections[place[0]].model_fields), "key"
        close = closest(place[-1], known)
        return f"unknown {word}; " + (
            f"did you mean {close}?" if close else f"known are {', '.join(known)}"
        )


def closest(word: str, known: Iterable[str], alike: float = 0.6) -> str | None:
    """Which of the known words was probably meant, if one is so much alike (0 to 1)."""
    from difflib import get_close_matches  # takes a moment, which only mistakes pay

    return next(iter(get_close_matches(word, list(known), n=1, cutoff=alike)), None)


def fault_words(kind: str, message: str, given: object) -> str:
    """What is wrong with one value, for people; pydantic's own words speak of types."""
    if kind in ("int_parsing", "int_type", "int_from_float"):
        return f"should be an integer; {given!r} is none"
    if kind == "string_pattern_mismatch":
        # The only pattern in a configuration is that of names (`ids.Name`).
        return NAME_WORDS
    if kind == "too_short":
        return "is empty; give at least one, or leave the key out"
    text = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if text.startswith("Input should"):
        return "should" + text.removeprefix("Input should")
    return text
