"""What libraries load at once and an agent has no use for. Changes `sys.modules` of the process.

- pydantic looks for plugins of every installed package, and reads their folder for that. An agent
  wants no code of others in its process, whatever is installed beside it.
- pydantic and websockets load importlib.metadata, with email and zipfile below it: for plugins,
  and for the version of a websockets that is no release.
- websockets loads urllib.request, with http.client and email below it, to look for proxies: an
  agent looks itself, and only where one may be set (`connection.endpoint`).
- The standard library loads bz2 and lzma for archives (shutil), tokenize to find lines of source
  (inspect, linecache) and locale to decode text (subprocess).
- inspect and pydantic load ast, with a class for each node of a syntax tree, for a class of their
  own that reads source.
- argparse has gettext look on the disk for other languages, and load locale: there are none.
- Before Python 3.12 datetime makes all its classes in Python, and then takes those of _datetime.

Together they take an eighth of the start and four megabytes for as long as the agent runs.
"""

from __future__ import annotations

import importlib
import sys
import typing
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final

_PLUGINS: Final = "pydantic.plugin._loader"
_LATER: Final = ("bz2", "importlib.metadata", "locale", "lzma", "tokenize", "urllib.request")
"""Modules of which whoever loads them at once wants nothing before it does its work."""


class _Visitor:
    """Stands for ast.NodeVisitor as the base of a class: it does the same, when it is used."""

    def visit(self, node: Any) -> Any:
        """Call the method for this kind of node."""
        return _load("ast").NodeVisitor.visit(self, node)

    def generic_visit(self, node: Any) -> Any:
        """Visit the nodes below one that has no such method."""
        return _load("ast").NodeVisitor.generic_visit(self, node)


def _same(text: str) -> str:
    """As `gettext.gettext` where there is no other language."""
    return text


def _one_or_many(one: str, many: str, number: int) -> str:
    """As `gettext.ngettext` there."""
    return one if number == 1 else many


_STANDING: Final[Mapping[str, Mapping[str, object]]] = {
    "ast": {"NodeVisitor": _Visitor},
    "gettext": {"gettext": _same, "ngettext": _one_or_many},
}
"""Modules of which something is wanted at once, and what stands for that; the rest is there."""


class _Later(ModuleType):
    """Stands for a module until somebody wants something of it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            # The import system and debuggers ask each module for these.
            raise AttributeError(name)
        return getattr(_load(self.__name__), name)


def _load(name: str) -> Any:
    """The module itself."""
    if isinstance(sys.modules.get(name), _Later):
        del sys.modules[name]
    return importlib.import_module(name)


def leave_out() -> None:
    """Before anything else is loaded: load less of it. Modules that are there already stay."""
    if _PLUGINS not in sys.modules:
        loader = ModuleType(_PLUGINS)
        loader.get_plugins = tuple  # type: ignore[attr-defined]  # none
        sys.modules[_PLUGINS] = loader
    if sys.version_info < (3, 12) and "datetime" not in sys.modules:
        sys.modules["datetime"] = importlib.import_module("_datetime")
    for name in (*_LATER, *_STANDING):
        if name not in sys.modules:
            later = sys.modules[name] = _Later(name)
            vars(later).update(_STANDING.get(name, {}))
            package, _, last = name.rpartition(".")
            if package:
                # As the import system does: `import urllib.request` gives `urllib`.
                setattr(importlib.import_module(package), last, later)


class _Shape(dict[str, Any]):
    """Stands for TypedDict where only a type checker looks at what is made of it."""

    def __init_subclass__(cls, **_: object) -> None:
        """Take what a TypedDict takes (`total=False`)."""


def load_schemas() -> None:
    """Load pydantic_core without the shapes of its schemas; nothing when it is there already. For
    programs that need it: it takes some ten milliseconds."""
    if "pydantic_core" in sys.modules:
        return
    import typing_extensions

    # It takes the one or the other, by the version of Python.
    places = (typing, typing_extensions)
    usual = [vars(place)["TypedDict"] for place in places]
    for place in places:
        vars(place)["TypedDict"] = _Shape
    try:
        import pydantic_core  # noqa: F401 - for the ones who import it next
    finally:
        for place, form in zip(places, usual, strict=True):
            vars(place)["TypedDict"] = form
