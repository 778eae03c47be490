"""The control API as an ASGI application."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from latehook.api.defaults import PREFIX
from latehook.base import logs
from latehook.base.errors import FileNotSent, LatehookError, NotFound, StoreError, WrongState
from latehook.base.version import version
from latehook.control import openapi, params, parsing, responses
from latehook.control.access import Access
from latehook.control.context import Certificates, HandlerContext
from latehook.control.responses import Refusal, Responder
from latehook.control.routes import OPERATIONS, Operation
from latehook.engine.operations import Operations

log = logging.getLogger(logs.LOGGER)


class App:
    """Serves every path below PREFIX to clients that `access` permits."""

    def __init__(self, operations: Operations, certificates: Certificates, access: Access) -> None:
        self._responder = Responder(operations.redaction, operations.queries.turns)
        self._context = HandlerContext(operations, certificates, self._responder, partial(openapi.document, version()))
        self._access = access
        self._running: set[asyncio.Future[Response]] = set()
        paths = dict.fromkeys(operation.path for operation in OPERATIONS)
        routes = [Route(PREFIX + _pattern(path), self._endpoint(path), methods=_methods(path)) for path in paths]
        self._app: ASGIApp = Starlette(routes=routes, exception_handlers={HTTPException: self._no_such_path})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        try:
            self._access.check(request)
        except Refusal as refusal:
            await self._responder.refuse(refusal)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _endpoint(self, path: str) -> Callable[[Request], Awaitable[Response]]:
        operations = {operation.method: operation for operation in OPERATIONS if operation.path == path}

        async def endpoint(request: Request) -> Response:
            operation = operations["GET" if request.method == "HEAD" else request.method]
            if not operation.writes:
                return await self._respond(operation, request)
            response = asyncio.ensure_future(self._respond(operation, request))
            self._running.add(response)
            response.add_done_callback(self._running.discard)
            return await asyncio.shield(response)  # finish it even if the client disconnects: half of it would be worse

        return endpoint

    async def _respond(self, operation: Operation, request: Request) -> Response:
        try:
            given = await _read_params(operation, request)
            result = await operation.handler(self._context, given, request.path_params.get("id", ""))
            return result if isinstance(result, Response) else await self._responder.json(result)
        except Refusal as refusal:
            return self._responder.refuse(refusal)
        except FileNotSent as error:
            return self._responder.problem(responses.file_problem(error))
        except LatehookError as error:
            return self._responder.refuse(Refusal(_status(error), str(error)))
        except Exception as error:
            log.exception("latehook: an internal error")
            detail = f"an internal error: {type(error).__name__}; the log has the traceback"
            return self._responder.refuse(Refusal(500, detail))

    async def _no_such_path(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = f"there is no {request.method} {request.url.path}: {PREFIX}openapi.json lists what there is"
        return self._responder.refuse(Refusal(error.status_code, detail, dict(error.headers or {})))


def _pattern(path: str) -> str:
    """Return a path as starlette writes it. The id of a job may contain slashes: its mock decides how it looks."""
    return path.replace("jobs/{id}", "jobs/{id:path}")


def _methods(path: str) -> list[str]:
    return [operation.method for operation in OPERATIONS if operation.path == path]


async def _read_params(operation: Operation, request: Request) -> Any:
    """Return the parameters of a request, from its body if the operation has one, else from its query."""
    if operation.writes and operation.query is params.NoParameters and request.url.query:
        raise Refusal(400, f"a {request.method} takes nothing from the query {request.url.query!r}: send it as JSON")
    query = parsing.from_query(operation.query, request.query_params.multi_items())
    if not operation.writes:
        return query
    parsing.check_content_type(request.headers.get("content-type", ""), operation.media_types)
    body = await request.body()
    if isinstance(query, params.MocksQuery):
        return parsing.mocks_from_body(body, request.headers.get("content-type", ""), query)
    return parsing.from_body(operation.body, body)


def _status(error: LatehookError) -> int:
    if isinstance(error, NotFound):
        return 404
    if isinstance(error, WrongState):
        return 409
    return 503 if isinstance(error, StoreError) else 400
