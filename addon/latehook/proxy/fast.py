"""Shortcuts past mitmproxy's slowest steps. Without them everything works the same, at a third of the speed.

The environment variable LATEHOOK_FAST=0 turns all of them off.
"""

import asyncio
import functools
import logging
import os
import re
import time
from collections.abc import Coroutine, Iterable
from typing import Any, NamedTuple, Protocol

from mitmproxy import http
from mitmproxy.master import Master
from mitmproxy.proxy.context import Context

from latehook.base import logs
from latehook.proxy.compat import (
    HttpErrorHook,
    HttpRequestHeadersHook,
    HttpRequestHook,
    HttpResponseHeadersHook,
    HttpResponseHook,
    LegacyLogEvents,
    RequestFields,
    ResponseFields,
    StartHook,
    expected_http_body_size,
    read_request_head,
)
from latehook.proxy.observers import Observers
from latehook.proxy.request_state import RequestState

ENABLED = os.environ.get("LATEHOOK_FAST") != "0"


# A request's layer


def fork(context: Context) -> Context:
    """Return what `context.fork()` returns. mitmproxy first makes a server connection for it, and then drops that."""
    if not ENABLED:
        return context.fork()
    forked = Context.__new__(Context)
    vars(forked).update(vars(context), layers=context.layers.copy())
    return forked


# The chain of addons


def is_first(observers: Observers) -> bool:
    """Return whether Latehook may stand before all other addons of mitmproxy."""
    return ENABLED and not observers.modifies


def skips_hooks(observers: Observers) -> bool:
    """Return whether mitmproxy's other addons need not hear of a mocked request before it has ended."""
    return ENABLED and not (observers.modifies or observers.records)


def skips_updates(observers: Observers) -> bool:
    """Return whether mitmproxy's other addons need not hear that the flow of a mocked request has changed."""
    return ENABLED and not (observers.modifies or observers.lists)


class Steps(Protocol):
    """What is done for a mocked request in mitmproxy's hooks."""

    def prepare(self, flow: http.HTTPFlow, state: RequestState) -> None: ...
    def answer(
        self, flow: http.HTTPFlow, state: RequestState
    ) -> Coroutine[Any, Any, http.Response | None]: ...  # None: it is forwarded


class Shortcuts:
    """Handle the hooks of mocked requests at once, without mitmproxy's addons.

    For each hook mitmproxy starts a task and calls some forty addons, twice: half of the cost of a mocked request.
    """

    def __init__(self, steps: Steps, observers: Observers) -> None:
        self._steps = steps
        self._observers = observers

    def handle(self, hook: StartHook, flow: http.HTTPFlow, state: RequestState) -> bool:
        """Return whether the hook was handled. If not, mitmproxy has to call its addons."""
        if not skips_hooks(self._observers):
            return False
        match hook:
            case HttpRequestHeadersHook():
                self._steps.prepare(flow, state)
                return state.answered_here
            case HttpRequestHook():
                return self._answer(flow, state)
            case HttpResponseHeadersHook():
                return True
            case HttpResponseHook() | HttpErrorHook():
                return not self._observers.prints
        return False

    def _answer(self, flow: http.HTTPFlow, state: RequestState) -> bool:
        """Start to answer. If that has to wait, `layers.AnswerHook` waits for `state.answer`."""
        loop = asyncio.get_running_loop()
        state.answer = asyncio.Task(self._steps.answer(flow, state), loop=loop, eager_start=True)
        if not state.answer.done():
            return True
        flow.response = state.answer.result()
        state.forward = flow.response is None
        return state.answered_here


# Heads of requests


class PlainHead(NamedTuple):
    """The head of a request: its size in bytes, and that of the body that follows, None for a chunked one."""

    request: http.Request
    size: int
    body_size: int | None


LARGEST_PLAIN_HEAD = 8 * 1024
"""Bytes."""

_REQUEST_LINE = re.compile(rb"((?!CONNECT )[A-Z]+) (https?://[^/?#\s]{1,300})?(/[!-~]*) (HTTP/1\.[01])")


def read_head(unread: bytes) -> PlainHead | None:
    """Read the head at the beginning of `unread` as mitmproxy does; return None to leave it to mitmproxy.

    Only heads as most clients send them are read here. mitmproxy parses a URL twice, and checks the type of each field
    that it has made itself: that is a sixth of the cost of a mocked request.
    """
    end = unread.find(b"\r\n\r\n", 0, LARGEST_PLAIN_HEAD) if ENABLED else -1
    first, *lines = unread[: max(end, 0)].split(b"\r\n")
    line = _REQUEST_LINE.fullmatch(first)
    if line is None or unread.count(b"\n", 0, end) != len(lines):
        return None
    origin = _origin(line[2] or b"")
    fields = [(name, value.strip()) for name, colon, value in (line.partition(b":") for line in lines) if colon]
    if origin is None or len(fields) != len(lines) or any(name[:1] in (b"", b" ", b"\t") for name, _ in fields):
        return None
    request, data = http.Request.__new__(http.Request), RequestFields.__new__(RequestFields)
    data.__dict__ = {
        **origin.__dict__,
        **{"method": line[1], "path": line[3], "http_version": line[4], "headers": _headers(fields)},
        "timestamp_start": time.time(),
    }
    request.data = data
    try:
        return PlainHead(request, end + 4, expected_http_body_size(request))
    except ValueError:
        return None


@functools.lru_cache(maxsize=256)
def _origin(text: bytes) -> RequestFields | None:
    """Return the fields that mitmproxy fills from the scheme and authority of a URL, or from their absence."""
    try:
        return read_request_head([b"GET %b/ HTTP/1.1" % text]).data
    except ValueError:
        return None


# Headers


class _Headers(http.Headers):
    """Headers that are looked up in one pass: mitmproxy calls a function for each name that it compares.

    Eleven lookups in its own code are a tenth of the cost of a mocked request.
    """

    def get_all(self, name: str | bytes) -> list[str]:
        wanted = (name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")).lower()
        return [value.decode("utf-8", "surrogateescape") for known, value in self.fields if known.lower() == wanted]

    def get(self, name: str | bytes, default: Any = None) -> Any:
        values = self.get_all(name)
        return ", ".join(values) if values else default

    def __contains__(self, name: Any) -> bool:
        return bool(self.get_all(name))


def _headers(fields: Iterable[tuple[bytes, bytes]]) -> http.Headers:
    """Return what `http.Headers(fields)` returns, without its check of each field's type."""
    headers = _Headers.__new__(_Headers)
    headers.fields = tuple(fields)
    return headers


# Responses


def make_response(status: int, reason: str, fields: Iterable[tuple[bytes, bytes]], body: bytes) -> http.Response:
    """Return a response as `http.Response(…)` makes it, without its checks of each field's type."""
    now = time.time()
    if not ENABLED:
        return http.Response(b"HTTP/1.1", status, reason.encode(), http.Headers(fields), body, None, now, now)
    response, data = http.Response.__new__(http.Response), ResponseFields.__new__(ResponseFields)
    data.__dict__ = {
        "http_version": b"HTTP/1.1",
        "status_code": status,
        "reason": reason.encode(),
        "headers": _headers(fields),
        "content": body,
        "trailers": None,
        "timestamp_start": now,
        "timestamp_end": now,
    }
    response.data = data
    return response


# Log lines


class LegacyLogFilter(logging.Filter):
    """Keep Latehook's log lines from mitmproxy's deprecated hook `add_log`, as long as no addon can have that hook.

    For each line mitmproxy schedules a call that asks all its addons.
    """

    def __init__(self, observers: Observers) -> None:
        super().__init__()
        self._observers = observers

    def filter(self, record: logging.LogRecord) -> bool:
        return record.name != logs.LOGGER or self._observers.modifies


def skip_add_log(master: Master, observers: Observers) -> None:
    """Install the LegacyLogFilter in a master's log handlers."""
    for handler in logging.getLogger().handlers if ENABLED else ():
        if isinstance(handler, LegacyLogEvents) and handler.master is master:
            handler.addFilter(LegacyLogFilter(observers))
