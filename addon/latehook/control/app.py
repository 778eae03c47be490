"""From a request to its answer: an ASGI application, by starlette."""

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

from latehook.base import logs
from latehook.base.errors import LatehookError, NotFound, StoreError, WrongState
from latehook.control import openapi, params
from latehook.control.access import SAFE, Access
from latehook.control.context import Certificates, Here, version
from latehook.control.responses import Answers, Refusal
from latehook.control.routes import OPERATIONS, PREFIX, Operation
from latehook.engine.operations import Operations

log = logging.getLogger(logs.LOGGER)


class App:
    """All that is below the prefix, for those who may."""

    def __init__(self, operations: Operations, certificates: Certificates, access: Access) -> None:
        self._answers = Answers(operations.redact)
        self._here = Here(operations, certificates, self._answers, partial(openapi.document, version()))
        self._access = access
        self._running: set[asyncio.Future[Response]] = set()
        paths = dict.fromkeys(operation.path for operation in OPERATIONS)
        routes = [Route(PREFIX + _pattern(path), self._endpoint(path), methods=_methods(path)) for path in paths]
        self._app: ASGIApp = Starlette(routes=routes, exception_handlers={HTTPException: self._not_there})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        is_page = request.url.path == PREFIX and request.method in SAFE  # it asks its reader for the token
        try:
            self._access.check(request, shows_nothing=is_page)
        except Refusal as refusal:
            await self._answers.refuse(refusal)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _endpoint(self, path: str) -> Callable[[Request], Awaitable[Response]]:
        operations = {operation.method: operation for operation in OPERATIONS if operation.path == path}

        async def endpoint(request: Request) -> Response:
            operation = operations["GET" if request.method == "HEAD" else request.method]
            if not operation.writes:
                return await self._answer(operation, request)
            carried_out = asyncio.ensure_future(self._answer(operation, request))
            self._running.add(carried_out)
            carried_out.add_done_callback(self._running.discard)
            return await asyncio.shield(carried_out)  # also when its client has left: half of it would be worse

        return endpoint

    async def _answer(self, operation: Operation, request: Request) -> Response:
        try:
            asked = await _asked(operation, request)
            answer = await operation.does(self._here, asked, request.path_params.get("id", ""))
            return answer if isinstance(answer, Response) else self._answers.answer(answer)
        except Refusal as refusal:
            return self._answers.refuse(refusal)
        except LatehookError as error:
            return self._answers.refuse(Refusal(_status(error), str(error)))
        except Exception as error:
            log.exception("latehook: an error of its own")
            return self._answers.refuse(Refusal(500, f"an error of its own: {type(error).__name__}; the log has more"))

    async def _not_there(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = f"there is no {request.method} {request.url.path}: {PREFIX}openapi.json says what there is"
        return self._answers.refuse(Refusal(error.status_code, detail, dict(error.headers or {})))


def _pattern(path: str) -> str:
    """As starlette writes paths. A job's id may have slashes in it: a mock says how it looks."""
    return path.replace("jobs/{id}", "jobs/{id:path}")


def _methods(path: str) -> list[str]:
    return [operation.method for operation in OPERATIONS if operation.path == path]


async def _asked(operation: Operation, request: Request) -> Any:
    if operation.writes and operation.query is params.Nothing and request.url.query:
        raise Refusal(400, f"a {request.method} takes nothing from the query {request.url.query!r}: send it as JSON")
    query = params.from_query(operation.query, request.query_params.multi_items())
    if not operation.writes:
        return query
    params.check_type(request.headers.get("content-type", ""), operation.media_types)
    body = await request.body()
    if isinstance(query, params.MocksFile):
        return params.mocks_from_body(body, query)
    return params.from_body(operation.takes, body)


def _status(error: LatehookError) -> int:
    if isinstance(error, NotFound):
        return 404
    if isinstance(error, WrongState):
        return 409
    return 503 if isinstance(error, StoreError) else 400
