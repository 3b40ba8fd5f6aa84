"""The web application: all calls of the API, all pages, and what is done around each of them.

Around every call: who may make it, errors as problems or pages, the time it took, and at debug
level a line in the log that holds no token. Speaks HTTP through aiohttp.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import web

import remote_server
from remote_protocol.api.tokens import EXPIRY_HEADER
from remote_protocol.errors import ErrorCode
from remote_server.errors import ServerError
from remote_server.logging_setup import REQUESTS
from remote_server.networks import network
from remote_server.throttle import Throttle
from remote_server.web import agents, api, pages
from remote_server.web.access import PUBLIC
from remote_server.web.http.connection import Connection
from remote_server.web.http.headers import header, require_plain_body
from remote_server.web.http.problems import (
    SECURITY_HEADERS,
    ApiProblem,
    from_http_exception,
    from_server_error,
)
from remote_server.web.limited import limited, with_limits
from remote_server.web.openapi.document import document
from remote_server.web.pages.problems import problem_page, wants_page
from remote_server.web.refusals import refusal
from remote_server.web.route import Call, Route, modules_of_extensions, routes_of
from remote_server.web.services import Services
from remote_server.web.sessions import COOKIE

ROUTES: Final[Sequence[Route]] = routes_of(api, agents, pages, extra=modules_of_extensions())
_log = structlog.get_logger(__name__)
_API: Final = "api"
_DESCRIBING: Final = threading.Lock()
_QUIET: Final = 10.0
_LONGEST_BODY: Final = 500
"""Characters of a body in the log."""
EXPIRY_TOLD: Final = 7 * 86400.0
"""Seconds before the end of a token from which on answers name it."""
_UNMATCHED: Final = Route("GET", "/", PUBLIC, page=True)
"""What a browser asks for that there is not."""
_FIRST: Final = next(iter(SECURITY_HEADERS))
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def description() -> bytes:
    """The OpenAPI document of all calls, as JSON. The first call takes a tenth of a second of CPU:
    too long for the loop, and for every start."""
    # In one thread: where two read Python at once (ast.parse), CPython 3.11 miscounts how deep it
    # is, and raises SystemError.
    with _DESCRIBING:
        return _described()


@functools.cache
def _described() -> bytes:
    return json.dumps(
        document([route for route in ROUTES if not route.page], remote_server.__version__)
    ).encode()


def build(services: Services) -> web.Application:
    """The application that serves all calls."""
    wrapper = _CallWrapper(services)
    application = web.Application(middlewares=[wrapper.unmatched])
    # aiohttp tries one after the other: those without a part that varies are told apart sooner.
    for route in sorted(ROUTES, key=lambda route: "{" in route.path):
        handler = wrapper.wrap(route)
        application.router.add_route(route.method, route.path, handler)
        if route.method == "GET" and not route.lasting:
            application.router.add_route("HEAD", route.path, handler)
    return application


def _secured(response: web.StreamResponse) -> web.StreamResponse:
    """Say with every answer that browsers must not guess, keep or tell. Streams, which have begun,
    say it themselves; a signal of aiohttp would cost a call for each answer."""
    # What `answer` has made says it already.
    if not response.prepared and _FIRST not in response.headers:
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
    return response


def _say_when_it_ends(call: Call, ends: float, response: web.StreamResponse) -> None:
    """Tell programs that their token ends soon."""
    if ends - time.time() < EXPIRY_TOLD and not (call.route.page or response.prepared):
        response.headers[EXPIRY_HEADER] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))


class _CallWrapper:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._refusals = Throttle(_QUIET)
        self._changes = Throttle(_QUIET)

    def wrap(self, route: Route) -> _Handler:
        """The handler of one call, with everything around it."""
        services = self._services
        guarded = bool(route.access.kinds)
        logged = route.logged
        observe = services.gauges.requests.observe

        async def handle(request: web.Request) -> web.StreamResponse:
            started = time.perf_counter()
            response: web.StreamResponse
            call = Call(request, services, route)
            try:
                require_plain_body(request)
                if route.page:
                    header(request, "Accept")  # What the API refuses, a page refuses, too.
                if guarded:
                    await self._admit(call)
                if route.page and route.method == "POST":
                    await call.read_form()
                elif call.signed_in is not None and not route.lasting:
                    call.figures = await call.services.overview.figures()
                response = await (self._stream(call) if route.streams else route.handler(call))
            except Exception as error:
                self._tell(call, error)
                response = _problem(error, request, call)
            else:
                if call.refused is not None:
                    self._refused(request, call.refused)
                    self._tell(call, call.refused)
                if logged:
                    self._log_change(call, response.status)
            finally:
                call.release()
            if call.caller is not None and call.caller.expires_at is not None:
                _say_when_it_ends(call, call.caller.expires_at, response)
            taken = time.perf_counter() - started
            if not route.lasting:
                observe(taken, route.method, route.path, str(response.status))
            if REQUESTS.isEnabledFor(logging.DEBUG):
                _log.debug(
                    "request",
                    method=request.method,
                    path=request.path,
                    status=response.status,
                    seconds=round(taken, 6),
                )
            return _secured(response)

        return handle

    async def _admit(self, call: Call) -> None:
        """Find out who is calling. ApiProblem; refused tokens are written down."""
        request = call.request
        access = call.route.access
        try:
            if call.route.page:
                secret = request.cookies.get(COOKIE)
                call.signed_in = await self._services.sessions.admit(secret, access)
                call.caller = call.signed_in.token
            else:
                authorization = header(request, "Authorization")
                address = request.remote or ""
                call.caller = await self._services.authenticator.admit(
                    authorization, access, address
                )
        except ApiProblem as problem:
            self._refused(request, problem)
            raise
        if call.caller.limited:
            call.services = limited(self._services, call.caller)
        if call.caller.kind == _API and isinstance(request.protocol, Connection):
            self._services.connections.proved(request.protocol, call.caller)

    def _tell(self, call: Call, error: Exception) -> None:
        """Have the audit know of a refusal."""
        told = refusal(call, error)
        if told is not None:
            self._services.trail.note(*told)

    def _refused(self, request: web.Request, problem: ApiProblem) -> None:
        address = request.remote or ""
        # By networks: one host has more IPv6 addresses than kinds of lines are told apart.
        more = self._refusals.take((network(address), problem.code), time.monotonic())
        if more is not None:
            _log.warning(
                "sign-in refused",
                address=address,
                code=str(problem.code),
                method=request.method,
                path=request.path[:200],
                **({"like_it_since": more} if more else {}),
            )

    async def _stream(self, call: Call) -> web.StreamResponse:
        """A long answer: counted, and ended at once when its reader has left."""
        connection = call.request.protocol
        if not isinstance(connection, Connection):
            return await call.route.handler(call)
        session = "" if call.signed_in is None else call.signed_in.session
        with self._services.streams.admit(call.token, connection.abort, session):
            connection.stream = asyncio.current_task()
            try:
                return await call.route.handler(call)
            finally:
                connection.stream = None

    def _log_change(self, call: Call, status: int) -> None:
        """Write down who changed what: the caller by name and id, never a token itself."""
        given = "" if call.given is None else call.given.model_dump_json(exclude_unset=True)
        more: int | None = 0
        if call.token.kind != _API:
            if status == HTTPStatus.OK:
                # Agents say at each start what they said before.
                return
            # A host that enrols and unregisters in turns must not fill the log.
            kind = (call.token.id, call.route.path, given)
            more = self._changes.take(kind, time.monotonic())
        if more is None:
            return
        _log.info(
            "change",
            by=call.token.name,
            token_id=call.token.id,
            address=call.request.remote or "",
            method=call.request.method,
            path=call.request.path,
            given=given[:_LONGEST_BODY],
            status=status,
            **({"like_it_since": more} if more else {}),
        )

    @web.middleware
    async def unmatched(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Answers what no call matches."""
        try:
            return await handler(request)
        except (web.HTTPException, ApiProblem) as error:
            call = Call(request, self._services, _UNMATCHED) if wants_page(request) else None
            return _secured(_problem(error, request, call))


def _problem(error: Exception, request: web.Request, call: Call | None) -> web.StreamResponse:
    """The answer to an error, which may come after an answer has begun."""
    found: ApiProblem | None
    opened = None if call is None else call.opened
    if opened is not None or isinstance(error, ConnectionError):
        if not isinstance(error, ConnectionError):
            _log.warning("answer broke off", path=request.path, exc_info=error)
        # Without the last chunk: the client must not take the answer for a complete one.
        if request.transport is not None:
            request.transport.close()
        # A client may leave before its answer has begun, too.
        begun = opened is not None and opened.prepared
        return opened if begun and opened is not None else web.Response(status=400)
    if isinstance(error, ApiProblem):
        found = error
    elif isinstance(error, ServerError):
        found = from_server_error(error)
    elif isinstance(error, web.HTTPException):
        found = from_http_exception(error, request)
    else:
        found = None
    if found is None:
        _log.error("request failed", method=request.method, path=request.path, exc_info=error)
        found = ApiProblem(
            ErrorCode.INTERNAL,
            "the server made a mistake; its log says more. Please report it",
        )
    if call is not None and call.caller is not None and call.caller.limited:
        found = with_limits(found, call.caller)
    if call is not None and call.route.page:
        return problem_page(call, found)
    return found.response()
