"""mitmproxy's hooks for HTTP: mocked requests are answered, and what no addon needs whole is passed on as it comes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from mitmproxy import ctx, exceptions, http

from latehook.base import logs
from latehook.base.control_path import CONTROL_PATH
from latehook.base.messages import Request, Response
from latehook.base.redaction import Redaction
from latehook.base.turns import Turns
from latehook.engine.engine import Engine
from latehook.mocks import error_responses
from latehook.mocks.bodies import JSON_TYPE
from latehook.proxy import asgi, fast, flows
from latehook.proxy.convert import http_response, read_while_arriving, remove_upgrade, request_of
from latehook.proxy.observers import Observers
from latehook.proxy.other_hosts import OtherHosts
from latehook.proxy.request_state import RequestState, RequestStates

log = logging.getLogger(logs.LOGGER)

STREAM_FROM = 1024 * 1024
"""Bytes. A longer message of another host is streamed, and one of unknown length too, if no addon needs its body."""


class Hooks:
    """mitmproxy's hooks for HTTP.

    `control` returns the control API's application. Requests wait until `started` is set.
    """

    name = "latehook-hooks"

    def __init__(
        self,
        engine: Engine,
        states: RequestStates,
        observers: Observers,
        others: OtherHosts,
        control: Callable[[], Awaitable[asgi.App]],
        redaction: Redaction,
        started: asyncio.Event,
    ) -> None:
        self._engine = engine
        self._states = states
        self._observers = observers
        self._others = others
        self._control = control
        self._redaction = redaction
        self._started = started
        self._turns = Turns()

    # mitmproxy's hooks

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if not flow.live:  # read from a file
            return
        if flows.WEBHOOK in flow.metadata:  # mitmproxy is to replay an attempt, which would go to any address
            flow.response = self._not_replayed(flow)
            return
        state = self._states.of(flow)
        if state.mocked:
            self.prepare(flow, state)
        else:
            self._stream_request(flow)

    async def latehook_answer(self, flow: http.HTTPFlow) -> None:
        """Answer a mocked request, after the `request` hooks of all addons (`layers.AnswerHook`)."""
        state = self._states.of(flow)
        if state.control is not None:
            await self._started.wait()
            await self._turns.next()  # many at once do not make mocked requests wait
            flow.response = await self._serve_control(flow, state)
            await self._turns.next()  # nor do many waits that end at once
            raise exceptions.AddonHalt
        if state.to_page:
            headers = ("location", f"{CONTROL_PATH}/"), ("content-length", "0")
            flow.response = http_response(Response(302, headers), flow.request.method)
            raise exceptions.AddonHalt
        if state.answer is None:
            state.upload.replace(flow.request.raw_content or b"")
        flow.response = await (state.answer or self.answer(flow, state))
        state.forward = flow.response is None
        raise exceptions.AddonHalt  # it is the only addon with this hook

    async def _serve_control(self, flow: http.HTTPFlow, state: RequestState) -> http.Response:
        """Return the control API's response. While the process ends, threads that the API needs have ended before."""
        if self._engine.is_closing:
            return asgi.problem(503, "the proxy is shutting down")
        try:
            return await asgi.serve(await self._control(), flow, state)
        except Exception as error:
            log.exception("latehook: an internal error")
            return asgi.problem(500, f"an internal error: {type(error).__name__}; the log has the traceback")

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if flow.live and flow.response is not None and not self._states.of(flow).answered_here:
            flow.response.stream = flow.response.stream or self._streams(flow.response)

    def _stream_request(self, flow: http.HTTPFlow) -> None:
        """Pass a request on as it comes, if that changes nothing. mitmproxy's own addons act on those named here."""
        request = flow.request
        is_onboarding = ctx.options.onboarding and request.pretty_host == ctx.options.onboarding_host
        if flow.response is None and not is_onboarding and "upgrade" not in request.headers and self._streams(request):
            request.stream = True

    def _streams(self, message: http.Request | http.Response) -> bool:
        """Return whether a message is long, and no addon acts on it, shows its body or saves it."""
        if self._others.intercepted or not _is_long(message):
            return False
        self._observers.update(ctx.master)  # a program may have added an addon
        return not self._observers.needs_bodies

    def update(self, flows: Sequence[Any]) -> None:
        """Keep the changes of mocked requests' flows from mitmproxy's other addons, if no addon needs them."""
        if fast.skips_updates(self._observers) and all(map(self._is_answered_here, flows)):
            raise exceptions.AddonHalt

    def _is_answered_here(self, flow: Any) -> bool:
        return isinstance(flow, http.HTTPFlow) and self._states.of(flow).answered_here

    # The steps of a mocked request

    def prepare(self, flow: http.HTTPFlow, state: RequestState) -> None:
        """Before the body of a mocked request arrives, decide whether to forward it, and what to read while it does."""
        mocks = self._engine.mocks
        if mocks.forwards and self._engine.forwards_at_once(self._by_each_name(flow, state)):
            self._forward(flow, state)
            self._stream_request(flow)
        elif mocks.body_members:
            read_while_arriving(state.upload, mocks.body_members, flow.request)

    async def answer(self, flow: http.HTTPFlow, state: RequestState) -> http.Response | None:
        """Return the response to a mocked request; None if it is forwarded."""
        await self._started.wait()  # mitmproxy listens a little earlier: a job of a start that then fails would be lost
        request = await self._by_deciding_name(flow, state)
        left = None
        if self._engine.mocks.has_long_polls:
            left = asyncio.Event()
            state.on_disconnect = left.set
        try:
            decision = await self._engine.accept(request, left)
        except Exception as error:
            log.exception("latehook: a request could not be answered")
            return self._failure(500, f"an internal error: {type(error).__name__}", request)
        state.fault = decision.fault
        if self._observers.records and decision.job_id is not None:
            flow.comment = self._redaction.redact(flows.comment(decision.job_id))
        if decision.response is None and request.body is None:
            problem = "a forwarded request of this size needs a mock without `when` or `times`"
            return self._failure(502, problem, request)
        if decision.response is None:
            self._forward(flow, state)
            return None
        return http_response(decision.response, request.method)

    def _by_each_name(self, flow: http.HTTPFlow, state: RequestState) -> list[Request]:
        """Return a request once for each mocked host that it names."""
        names = self._states.mocked_names(flow) or [(state.host, state.port)]
        return [request_of(flow, replace(state, host=host, port=port)) for host, port in names]

    async def _by_deciding_name(self, flow: http.HTTPFlow, state: RequestState) -> Request:
        """Return a request by the name that decides it: a request leaves only if the mocks of all its names say so."""
        if self._engine.mocks.forwards:
            requests = self._by_each_name(flow, state)
            for request in requests if len(requests) > 1 else ():
                if not await self._engine.forwards(request):
                    state.host, state.port = request.host, request.port
                    break
        return request_of(flow, state)

    def _forward(self, flow: http.HTTPFlow, state: RequestState) -> None:
        """Let a request go to the real service, under the names that it has now."""
        state.forward = True
        state.forwarded_to = frozenset(self._states.mocked_names(flow))
        remove_upgrade(flow.request)

    async def refuse_connect(self, flow: http.HTTPFlow) -> http.Response:
        """Return the response to a CONNECT to a host that no mock names, while nothing may leave for such hosts."""
        await self._started.wait()
        host, port = flow.request.host, flow.request.port
        request = Request("CONNECT", "https", host, port, "", flow.request.headers.fields)
        decision = await self._engine.accept(request)
        if decision.response is None:
            return self.not_contacted(flow)
        response = http_response(decision.response, "CONNECT")
        response.reason = self._others.refusal(host, port).encode("ascii", "backslashreplace").decode()
        return response

    # Error responses

    def not_contacted(self, flow: http.HTTPFlow) -> http.Response:
        """Return the response to a mocked request that no hook has answered: a hook failed or was never called."""
        error = "this request was not answered, and a mocked host is never contacted"
        try:
            return self._failure(502, error, request_of(flow, RequestState(True)))
        except Exception:  # in a layer, an exception would leave the client unanswered
            log.exception("latehook: an internal error")
            body = b'{"error": "latehook: %s"}' % error.encode()
            return http_response(Response(502, (("content-type", JSON_TYPE),), body), flow.request.method)

    def _not_replayed(self, flow: http.HTTPFlow) -> http.Response:
        webhook = flow.metadata[flows.WEBHOOK]
        problem = f"an attempt at a webhook is not replayed: the command `mock.resend {webhook}` sends it again"
        return self._failure(409, problem, request_of(flow, RequestState(True)))

    def _failure(self, status: int, problem: str, request: Request) -> http.Response:
        return http_response(error_responses.failure(status, problem, request, self._redaction), request.method)


def _is_long(message: http.Request | http.Response) -> bool:
    length = message.headers.get("content-length", "")
    return not length.isdigit() or int(length) > STREAM_FROM
