"""Finds this installation's extensions: kinds of jobs that the programs themselves do not know.

An extension is a module of the namespace package `remote_extensions`, named as the kind of jobs
that it adds and as the command of `remotectl` that goes with it. The module has an `EXTENSION`,
which says where its parts are. To list extensions loads none of them; a part is loaded when it is
used. Imports modules, touches nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any, Final, NamedTuple

NAMESPACE: Final = "remote_extensions"


class BrokenExtension(Exception):
    """An extension cannot be loaded; the text is a sentence that says why."""


class Given(NamedTuple):
    """A value of a setting that an extension takes from the variables of another system."""

    section: str
    key: str
    value: object
    variable: str | None
    """Where it stands; None: nowhere, it is what users of that system are used to."""


class Extension(NamedTuple):
    """Where the parts of an extension are: `module`, or `module:name`. Each may be missing."""

    spec: str | None = None
    """The specification of its jobs: a subclass of `JobSpec` with the extension's name as kind."""
    planner: str | None = None
    """For agents: a module with `plan`, as `remote_agent.planning.kinds` describes it."""
    command: str | None = None
    """For `remotectl`: a click command."""
    summary: str = ""
    """What that command does, as `remotectl --help` says it."""
    shown: str | None = None
    """For `remotectl`: a module that says what lists and `job show` print of its jobs:
    `words(job)`, a line, and `print_details(job)`."""
    routes: tuple[str, ...] = ()
    """For servers: modules with calls of the API and pages (`remote_server.web.route.Route`)."""
    page: str | None = None
    """For servers: a module that says what pages show of its jobs
    (`remote_server.web.pages.kinds`)."""
    settings: str | None = None
    """For agents and servers whose `compatible_with` names the extension: a function that takes
    `agent` or `server` and the environment, and gives settings (`Given`). They go before the
    file, and behind the program's own variables."""
    watch: str | None = None
    """For such agents: a function without arguments that gives a `remote_agent.app.ports.Watch`."""


@cache
def names() -> frozenset[str]:
    """The names of all extensions, none of which is loaded for that."""
    # Half a millisecond, most of it for pkgutil: only those pay it who ask.
    from pkgutil import iter_modules

    try:
        package = import_module(NAMESPACE)
    except ModuleNotFoundError:
        return frozenset()
    return frozenset(module.name for module in iter_modules(package.__path__))


def find(name: object) -> Extension | None:
    """The extension of this name, if there is one. BrokenExtension."""
    # What is no name of the list may be anything that somebody has sent: nobody looks for it.
    return _entry(name) if isinstance(name, str) and name in names() else None


@cache
def _entry(name: str) -> Extension:
    found = _load(name, f"{NAMESPACE}.{name}:EXTENSION")
    if not isinstance(found, Extension):
        raise BrokenExtension(f"the extension {name} is no Extension; install it again")
    return found


def part(name: str, place: str) -> Any:
    """A part of an extension, by its place. BrokenExtension."""
    return _load(name, place)


def settings_of(name: str, program: str, environ: Mapping[str, str]) -> Sequence[Given]:
    """What `compatible_with = NAME` gives a program. BrokenExtension, also when there is no such
    extension."""
    extension = find(name)
    if extension is None:
        raise BrokenExtension(f"there is no extension {name} here; install remote-{name}")
    if extension.settings is None:
        raise BrokenExtension(f"the extension {name} takes no settings from elsewhere")
    given: Sequence[Given] = _load(name, extension.settings)(program, environ)
    return given


def load_spec(name: object) -> None:
    """Have the extension of this name register its kind of jobs, if there is one and it has one.
    BrokenExtension."""
    extension = find(name)
    if extension is not None and extension.spec is not None:
        _load(str(name), extension.spec)


def load_specs() -> None:
    """Have all extensions register their kinds of jobs. BrokenExtension."""
    for name in sorted(names()):
        load_spec(name)


def _load(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    try:
        loaded = import_module(module)
        return getattr(loaded, attribute) if attribute else loaded
    except Exception as error:
        raise BrokenExtension(
            f"the extension {name} cannot be loaded: {type(error).__name__}: {error}; install it "
            "again, in the version of this program"
        ) from error
