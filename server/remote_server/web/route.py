"""What one call of the API is: `Route` describes it, `Call` is one request to it.

A resource's module decorates its handlers with routes; `routes_of` finds them, and aiohttp's router
and the OpenAPI document are both made from what it finds, so that neither can forget a call. Reads
bodies, nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from inspect import getdoc
from pkgutil import iter_modules
from types import GenericAlias, ModuleType
from typing import Any, ClassVar, Final, TypeVar, get_origin
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import MultiDict, MultiMapping
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from remote_protocol import extensions
from remote_protocol.errors import ErrorCode
from remote_protocol.ids import Role
from remote_server.domain.model import Principal, Token
from remote_server.queries.overview import Figures
from remote_server.web.access import AccessRule
from remote_server.web.http.bodies import Body, require_few_values
from remote_server.web.http.problems import SECURITY_HEADERS, ApiProblem, from_validation
from remote_server.web.services import Services
from remote_server.web.sessions import SignedIn

CSRF: Final = "csrf"
"""The field of every form that shows that it was made for this session."""
SMALL_BODY: Final = 256 * 1024
"""Bytes of any body that is not a job."""
JSON: Final = "application/json"
_MOST_VALUES: Final = 50_000
"""Values in the JSON of one body: the arguments, variables and files of a job are fewer."""
_MOST_FIELDS: Final = 2_000
"""Fields of a form."""
_LONGEST_PART: Final = 256
"""Characters of a name or id in a path."""
_OF_JOBS: Final = ("/api/v1/jobs", "/jobs/", "/submit", "/api/v1/groups", "/groups/")
"""Where jobs are made and changed."""
_JSON_HEADERS: Final = {"Content-Type": JSON, **SECURITY_HEADERS}
M = TypeVar("M", bound=BaseModel)
Q = TypeVar("Q", bound="Query")


class PageForm(BaseModel):
    """Base of what the form of a page sends: an unknown field is a mistake, and named."""

    # Made ready when it is first used, so that the server starts sooner.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Query(BaseModel):
    """Base of query strings: an unknown parameter is a mistake, and named.

    A list is given as `a,b` or by repeating the parameter. Made ready when it is first used.
    """

    whole: ClassVar[frozenset[str]] = frozenset()
    """Lists whose items may hold commas: they are given by repeating the parameter only."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class PageQuery(Query):
    """The query of a list."""

    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=1024)


Handler = Callable[["Call"], Awaitable[web.StreamResponse]]


async def _unbound(call: Call) -> web.StreamResponse:
    raise NotImplementedError(call.route.path)


@dataclass(frozen=True, slots=True)
class Route:
    """One call of the API; used as the decorator of its handler, whose docstring begins with the
    summary for the OpenAPI document."""

    method: str
    path: str
    access: AccessRule
    body: type[BaseModel] | None = None
    query: type[Query] | None = None
    answer: type[BaseModel] | None = None
    """None when it answers with no body or with `media`."""
    status: int = 200
    media: tuple[str, ...] = ()
    """Media types of an answer that is not JSON, the default first."""
    takes: str = ""
    """Media type of a body that is not JSON."""
    body_optional: bool = False
    largest: int = SMALL_BODY
    """Bytes of the body."""
    headers: tuple[str, ...] = ()
    """Request headers that mean something to it, besides Authorization."""
    also: tuple[tuple[int, str], ...] = ()
    """Further statuses of success, and when it answers with them."""
    gives: tuple[str, ...] = ()
    """Headers of a success that mean something."""
    refuses: tuple[ErrorCode, ...] = ()
    """Refusals of its own, beside those that its token, path, query and body bring."""
    example: Mapping[str, Any] | None = None
    """A body, for the OpenAPI document."""
    operation: str = ""
    """Its name in generated clients, where method and path do not give a good one. Stable."""
    page: bool = False
    """It is for browsers: who asks is known by the session's cookie, the body is a form, and errors
    are pages. Not a part of the API."""
    action: str = ""
    """What the audit calls it, as `job.cancel`; every call that changes something has one. What is
    done, the store writes down itself; by this name a refusal is."""
    lasting: bool = False
    """It may go on for as long as the client likes: not counted among request times."""
    handler: Handler = _unbound

    def __call__(self, handler: Handler) -> Route:
        """The route with its handler: what the decorated name stands for from then on."""
        return replace(self, handler=handler)

    @property
    def summary(self) -> str:
        """What the call does, in a line."""
        first = (getdoc(self.handler) or "").partition("\n\n")[0]
        return " ".join(first.split()).removesuffix(".")

    @property
    def streams(self) -> bool:
        """Whether its answer is a stream, which is counted for its reader's token."""
        return self.lasting and bool(self.media) and self.method == "GET"

    @property
    def logged(self) -> bool:
        """Whether the log says who called it: it changes something. Jobs and their timelines name
        their users themselves, and what runs, with its environment, must not be in the log."""
        return (
            self.method != "GET" and bool(self.access.kinds) and not self.path.startswith(_OF_JOBS)
        )


class Call:
    """One request, with whoever makes it. `caller` is None where anybody may call."""

    __slots__ = (
        "_body",
        "_form",
        "caller",
        "figures",
        "given",
        "opened",
        "refused",
        "request",
        "route",
        "services",
        "signed_in",
    )

    def __init__(
        self,
        request: web.Request,
        services: Services,
        route: Route,
        caller: Token | None = None,
    ) -> None:
        self.request = request
        self.services = services
        self.route = route
        self.caller = caller
        self.signed_in: SignedIn | None = None
        """The browser's session, for a page."""
        self.figures: Figures | None = None
        """What the ways to the pages say, for a page."""
        self._body: Body | None = None
        self._form: list[tuple[str, str]] = []
        self.given: BaseModel | None = None
        """The validated body."""
        self.refused: ApiProblem | None = None
        """Why somebody who gave a token in the body was not admitted."""
        self.opened: web.StreamResponse | None = None
        """An answer that has begun: an error can only break it off."""

    @property
    def token(self) -> Token:
        """The caller's token, where the call asks for one."""
        if self.caller is None:
            raise LookupError(f"{self.route.path} may be called without a token")
        return self.caller

    @property
    def principal(self) -> Principal:
        """Who writes, and from where."""
        return self.token.used_from(self.request.remote or "")

    @property
    def role(self) -> Role:
        """The caller's role."""
        return self.token.role or Role.VIEWER

    @property
    def fleet_role(self) -> Role:
        """The caller's role towards agents and queues: who is limited to queues only looks."""
        return Role.VIEWER if self.token.limited else self.role

    @property
    def sees_values(self) -> bool:
        """Whether the caller may see the values of jobs' environments: operators may."""
        return self.role.includes(Role.OPERATOR)

    def path(self, name: str) -> str:
        """One part of the path. ApiProblem when nothing can have such a name."""
        value = self.request.match_info[name]
        if len(value) > _LONGEST_PART or not value.isprintable():
            raise ApiProblem(
                ErrorCode.NOT_FOUND,
                f"nothing has a name of {len(value)} characters like the one in this path",
            )
        return value

    async def read_bytes(self, largest: int | None = None) -> bytes:
        """The body as it came; at most `largest` bytes, the route's limit by default."""
        if self._body is None:
            self._body = Body(self.services.bodies, self.caller.id if self.caller else "")
        return await self._body.read(self.request, largest or self.route.largest)

    def release(self) -> None:
        """The call is answered: its body is needed no more."""
        if self._body is not None:
            self._body.release()

    async def read(self, model: type[M], largest: int | None = None) -> M:
        """The body, validated once; at most `largest` bytes, the route's limit by default.

        ApiProblem when it is too large, no JSON or not valid.
        """
        if model is not self.route.body:
            raise TypeError(f"{self.route.path} is declared with another body")
        raw = await self.read_bytes(largest)
        if not raw and self.route.body_optional:
            return model()
        require_few_values(raw, _MOST_VALUES)
        try:
            self.given = given = model.model_validate_json(raw)
            return given
        except ValidationError as error:
            raise from_validation(error) from None
        except OverflowError:
            raise ApiProblem(ErrorCode.BAD_REQUEST, "a number in the body is too large") from None

    async def read_form(self) -> None:
        """Take the body as a form that was made for this session (WHATWG URL §5.1). ApiProblem when
        it was not, or is no form."""
        raw = await self.read_bytes(SMALL_BODY)
        try:
            pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise ApiProblem(ErrorCode.BAD_REQUEST, "the body is not a form") from None
        if self.signed_in is not None:
            self.signed_in.require_csrf(next((v for k, v in pairs if k == CSRF), ""))
        self._form = [(name, value) for name, value in pairs if name != CSRF]

    @property
    def given_form(self) -> dict[str, str]:
        """The form as it came, to be shown again beside its faults."""
        return dict(self._form)

    def given_list(self, name: str) -> list[str]:
        """All values of a field of the form, as they came."""
        return [value for key, value in self._form if key == name]

    def form(self, model: type[M]) -> M:
        """The form, validated; fields that were left empty count as not given. ApiProblem names
        every fault at once."""
        if model is not self.route.body:
            raise TypeError(f"{self.route.path} is declared with another body")
        given: MultiDict[str] = MultiDict(pair for pair in self._form if pair[1])
        try:
            self.given = made = model.model_validate(_values(given, model))
        except ValidationError as error:
            raise from_validation(error, depth=1) from None
        return made

    def query(self, model: type[Q]) -> Q:
        """The query string, validated. ApiProblem names every fault at once."""
        if model is not self.route.query:
            raise TypeError(f"{self.route.path} is declared with another query")
        try:
            return model.model_validate(_values(self.request.query, model, model.whole))
        except ValidationError as error:
            raise from_validation(error, depth=1) from None


def _values(
    given: MultiMapping[str], model: type[BaseModel], whole: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """What a query or a form gives to the fields of a model."""
    values: dict[str, Any] = {}
    for name in given:
        field = model.model_fields.get(name)
        if field is not None and name in whole:
            values[name] = given.getall(name)
        elif field is not None and _is_list(field.annotation):
            values[name] = [
                part for value in given.getall(name) for part in value.split(",") if part
            ]
        else:
            values[name] = given.getall(name)[-1]
    return values


def _is_list(annotation: Any) -> bool:
    return isinstance(annotation, GenericAlias) and get_origin(annotation) is list


def answer(
    model: BaseModel, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """A model as JSON."""
    return web.Response(
        # As model_dump_json does, without its frame of Python and the text in between.
        body=model.__pydantic_serializer__.to_json(model),
        status=status,
        headers=_JSON_HEADERS if headers is None else {**_JSON_HEADERS, **headers},
    )


def no_content() -> web.Response:
    """204: done, nothing to say."""
    return web.Response(status=204)


def routes_of(*packages: ModuleType, extra: Iterable[str] = ()) -> list[Route]:
    """The routes of all modules directly in these packages, in the order of names and lines, then
    those of the modules `extra`."""
    modules = [
        f"{package.__name__}.{name}"
        for package in packages
        for name in sorted(info.name for info in iter_modules(package.__path__))
    ]
    found: dict[tuple[str, str], Route] = {}
    for module in (*modules, *extra):
        for value in vars(import_module(module)).values():
            if isinstance(value, Route):
                if found.setdefault((value.method, value.path), value) is not value:
                    raise ValueError(f"two handlers for {value.method} {value.path}")
    return list(found.values())


def modules_of_extensions() -> list[str]:
    """The modules in which extensions have routes. BrokenExtension."""
    found = (extensions.find(name) for name in sorted(extensions.names()))
    return [module for extension in found if extension for module in extension.routes]
