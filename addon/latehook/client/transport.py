"""Sending the requests of a call over HTTP, and waiting for the responses: synchronously, or on an event loop."""

import ssl
from types import TracebackType
from typing import Any, Self

import httpx

from latehook.base.errors import ControlError
from latehook.base.terminal import show_while_waiting
from latehook.client import failures
from latehook.client.address import ProxyAddress
from latehook.client.calls import ApiRequest, ApiResponse, Call

__tracebackhide__ = failures.hides_frames

_SETTINGS: dict[str, Any] = {
    "trust_env": False,  # the proxies of this machine's environment are for others
    "verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # requests are http only: loading the system's CAs takes a while
}


class Transport:
    """Carries out calls. It keeps its connections from one call to the next."""

    def __init__(self, address: ProxyAddress) -> None:
        self.address = address
        self._http = httpx.Client(**_SETTINGS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()

    def run[Result](self, call: Call[Result]) -> Result:
        """Return the result of a call. Raises what the call raises, and ControlError if there is no response."""
        try:
            request = next(call)
            while True:
                request = call.send(self._send(request))
        except StopIteration as ended:
            result: Result = ended.value
            return result

    def _send(self, request: ApiRequest) -> ApiResponse:
        try:
            with show_while_waiting(request.doing):
                return _response(self._http.send(_request(self.address, request)))
        except httpx.HTTPError as error:
            raise _no_response(self.address, error) from None


class AsyncTransport:
    """Carries out calls on an event loop.

    It keeps no connection between two calls, so that it can be used on one event loop after the other.
    """

    def __init__(self, address: ProxyAddress) -> None:
        self.address = address

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """There is nothing to close."""

    async def run[Result](self, call: Call[Result]) -> Result:
        """Return the result of a call. Raises what the call raises, and ControlError if there is no response."""
        try:
            request = next(call)
            while True:
                request = call.send(await self._send(request))
        except StopIteration as ended:
            result: Result = ended.value
            return result

    async def _send(self, request: ApiRequest) -> ApiResponse:
        try:
            async with httpx.AsyncClient(**_SETTINGS) as http:
                with show_while_waiting(request.doing):
                    return _response(await http.send(_request(self.address, request)))
        except httpx.HTTPError as error:
            raise _no_response(self.address, error) from None


def _request(address: ProxyAddress, request: ApiRequest) -> httpx.Request:
    content_type = {} if request.content is None else {"content-type": request.content_type}
    return httpx.Request(
        request.method,
        address.control + request.path,
        params=request.query,
        content=request.content,
        headers=address.headers | content_type,
        extensions={"timeout": httpx.Timeout(request.timeout).as_dict()},
    )


def _response(response: httpx.Response) -> ApiResponse:
    return ApiResponse(response.status_code, response.content)


def _no_response(address: ProxyAddress, error: httpx.HTTPError) -> ControlError:
    reason = str(error) or type(error).__name__
    return ControlError(f"Latehook does not answer at {address.control}: {reason}; does its proxy run?")
