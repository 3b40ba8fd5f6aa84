"""Options that commands share, and the classes of all commands: global options go anywhere.

Where server and token come from may be said before the command or after it, as people expect from
kubectl or gh. Prints nothing.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click

from remote_client.cli.completed import completed
from remote_client.cli.session import Session
from remote_protocol.limits import NAME_PATTERN, NAME_WORDS
from remote_protocol.units import parse_duration, parse_size

if TYPE_CHECKING:
    _Type = click.ParamType[Any]
else:  # older versions of click know no type arguments
    _Type = click.ParamType
REASONS: Final = (
    *("exit", "signal", "timeout", "memory_limit", "cancelled", "lost", "rejected", "expired"),
    *("spawn_error", "secret_missing"),
)
"""End reasons (`remote_protocol.states.EndReason`)."""
F = TypeVar("F", bound=Callable[..., Any])
_GLOBAL: Final = (
    ("url", "REMOTE_URL", "URL", "The server, e.g. https://host:8750."),
    ("token_file", "REMOTE_TOKEN_FILE", "FILE",
     "File with an API token; the text itself: REMOTE_TOKEN."),
    ("ca_file", "REMOTE_CA_FILE", "FILE", "Certificates of a private CA (PEM)."),
    ("context", "REMOTE_CONTEXT", "NAME", "The login to use; see remotectl context list."),
    ("insecure", "REMOTE_INSECURE", None,
     "Allow plain HTTP to another host: token and output can be read on the way."),
)  # fmt: skip


def _take(context: click.Context, option: click.Parameter, value: object) -> None:
    if value is not None and value is not False and option.name is not None:
        setattr(context.ensure_object(Session), option.name, value)


def global_options(environment: bool) -> list[click.Parameter]:
    """The options that every command takes; the root also reads their variables."""
    found: list[click.Parameter] = []
    for name, variable, metavar, words in _GLOBAL:
        found.append(
            click.Option(
                [f"--{name.replace('_', '-')}"],
                envvar=variable if environment else None,
                metavar=metavar,
                is_flag=metavar is None,
                default=None,
                shell_complete=completed(f"{name}s") if name == "context" else None,
                help=f"{words} [env: {variable}]",
                allow_from_autoenv=False,
                expose_value=False,
                callback=_take,
            )
        )
    return found


class Command(click.Command):
    """A command that takes the global options, too, and shows them apart from its own."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._global = global_options(environment=False)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own, then the global ones."""
        return [*super().get_params(ctx), *self._global]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Two lists: its own options, and the global ones."""
        for title, options in (
            ("Options", super().get_params(ctx)),
            ("Global options", self._global),
        ):
            rows = [row for option in options if (row := option.get_help_record(ctx))]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class Group(click.Group):
    """A group of such commands."""

    command_class = Command

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Help, and the global options."""
        return [*super().get_params(ctx), *self._global]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._global = global_options(environment=False)


class Duration(_Type):
    """Seconds of `30s`, `10m`, `1h30m`."""

    name = "D"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Usage error when it is none."""
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Size(_Type):
    """Bytes of `512MiB`, `10MB`."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Usage error when it is none."""
        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Name(_Type):
    """The name of an agent or a queue."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Usage error when it is none: it would be another path of the API."""
        if not re.fullmatch(NAME_PATTERN, value):
            self.fail(f"{value!r} is no name: it {NAME_WORDS}", param, ctx)
        return str(value)


class Pair(_Type):
    """`KEY=VALUE`."""

    name = "K=V"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Usage error when it is none."""
        if isinstance(value, tuple):
            return value
        key, equals, content = value.partition("=")
        if not equals or not key:
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        return key, content


DURATION, SIZE, NAME, PAIR = Duration(), Size(), Name(), Pair()


class Look(NamedTuple):
    """How a list shall look."""

    output: str = "table"
    headers: bool = True
    quiet: bool = False


def output_option(command: F) -> F:
    """The option `--output table|json` that every show and create has."""
    return click.option(
        "--output",
        "-o",
        type=click.Choice(["table", "wide", "json"]),
        default="table",
        show_default=True,
        envvar="REMOTE_OUTPUT",
        help="For people or for programs; wide is for lists. [env: REMOTE_OUTPUT]",
    )(command)


def secret_file(command: F) -> F:
    """The option `--output-file`: a secret goes to a file that only its owner reads."""
    return click.option(
        "--output-file",
        metavar="FILE",
        help="Write the token into this new file (mode 0600), instead of showing it.",
    )(command)


def limited(command: Callable[..., Any]) -> Callable[..., Any]:
    """What long lists have: `--limit` and `--all`; given as `most`, None for all of them."""

    @functools.wraps(command)
    def with_most(*arguments: Any, limit: int, everything: bool, **options: Any) -> Any:
        return command(*arguments, most=None if everything else limit, **options)

    with_most = click.option("--all", "everything", is_flag=True, help="All of them.")(with_most)
    return click.option(
        "--limit",
        type=click.IntRange(min=1),
        default=50,
        show_default=True,
        metavar="N",
        help="How many.",
    )(with_most)


def list_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What every list has: `-o table|wide|json`, `--no-headers`, `-q`; given as `look`."""

    @functools.wraps(command)
    def with_look(
        *arguments: Any, output: str, no_headers: bool, quiet: bool, **options: Any
    ) -> Any:
        return command(*arguments, look=Look(output, not no_headers, quiet), **options)

    with_look = click.option("--quiet", "-q", is_flag=True, help="Only names or ids, one a line.")(
        with_look
    )
    with_look = click.option("--no-headers", is_flag=True, help="Without the header line.")(
        with_look
    )
    return click.option(
        "--output",
        "-o",
        type=click.Choice(["table", "wide", "json"]),
        default="table",
        show_default=True,
        envvar="REMOTE_OUTPUT",
        help="For people, with every column, or for programs. [env: REMOTE_OUTPUT]",
    )(with_look)
