"""mitmproxy's hooks, thin, and the door that puts them there."""

import asyncio
import functools
import gc
import logging
import os
import random
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from mitmproxy import ctx, exceptions, http
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy.commands import StartHook
from mitmproxy.proxy.layers.http import (
    HttpErrorHook,
    HttpRequestHeadersHook,
    HttpRequestHook,
    HttpResponseHeadersHook,
    HttpResponseHook,
)

from latehook import options
from latehook.base import errors, logs
from latehook.base.clock import Clock
from latehook.base.errors import LatehookError
from latehook.base.model import Outcome, Request, Response
from latehook.base.redaction import Redaction
from latehook.delivery.attempts import RunningAttempt
from latehook.delivery.lazy_transport import LazyTransport
from latehook.engine.engine import Engine
from latehook.engine.operations import Operations
from latehook.mocks import error_responses
from latehook.mocks.definitions import Mocks
from latehook.mocks.rendering import JSON
from latehook.mocksfile import loading
from latehook.mocksfile.secrets import secrets_of_environment
from latehook.mocksfile.watch import Watcher
from latehook.proxy import asgi, flows, observers
from latehook.proxy.commands import Commands
from latehook.proxy.convert import http_response, read_on_the_way, request_of
from latehook.proxy.guard import Guard, Shut
from latehook.proxy.layers import Exchange
from latehook.store import Store
from latehook.webhooks.targets import Origin, Targets

log = logging.getLogger(logs.LOGGER)

STREAM_FROM = 1024 * 1024
"""Bytes from which another host's message passes through unbuffered; one of unknown length always does."""


class Door:
    """What mock.py holds, made anew at every edit of it: it puts Latehook on the master once and then does nothing."""

    name = "latehook-door"

    def __init__(self, script: str) -> None:
        self._beside = Path(script).parent

    def load(self, loader: Loader) -> None:
        addons = ctx.master.addons
        if addons.get(Latehook.name) is not None:
            return
        try:
            latehook = Latehook(self._beside)
            addons.add(latehook)
            observers.place(ctx.master, latehook, first=False)
            latehook.configure(set(ctx.options.keys()))
        except LatehookError as error:
            _end(str(error))
        except BaseException as error:  # mitmproxy would go on without us, and let the requests through
            log.debug("latehook: cannot start", exc_info=True)
            _end(f"cannot start: {type(error).__name__}: {error}")


def _end(reason: str) -> NoReturn:
    """AttemptResult the start. While mitmproxy winds down it still serves for a moment: nothing may leave in it."""
    ctx.master.addons.chain = [Shut(), *ctx.master.addons.chain]
    hidden = Redaction(secrets_of_environment(os.environ).values).redact(reason)
    sys.exit(f"latehook: {hidden}")


class Latehook:
    """The addon. It outlives reloads of mock.py, broken edits of it and its deletion."""

    name = "latehook"

    def __init__(self, beside: Path) -> None:
        self._beside = beside
        self._env = dict(os.environ)
        self._redaction = Redaction(secrets_of_environment(self._env).values)
        self._hiding = logs.RedactingFilter(self._redaction)
        log.setLevel(logging.INFO)
        log.addFilter(self._hiding)
        self._attention = observers.Attention(acts=True, looks=True, lists=True, prints=True)
        observers.Unheard(lambda: self._attention.acts).install(ctx.master)
        self._watching: asyncio.Task[None] | None = None
        self._started = asyncio.Event()
        self._token: str | None = None
        self._app: asgi.App | None = None
        self.guard = Guard(self._not_contacted, self._settle)
        self._targets = Targets()
        self.engine: Engine
        self.operations: Operations
        self.addons = [self.guard, Commands(lambda: self.operations)]

    # Life

    def load(self, loader: Loader) -> None:
        for name, text in options.HELP.items():
            loader.add_option(name, Sequence[str], [], text)

    def configure(self, updated: set[str]) -> None:
        """At the start an error ends it; later mitmproxy takes the bad value back."""
        if updated & options.HELP.keys():
            try:
                self._configure()
            except LatehookError as error:
                reason = self._redaction.redact(str(error))
                if not self._started.is_set():
                    raise LatehookError(reason) from None
                raise exceptions.OptionsError(f"latehook: {reason}") from None
        self._look_around()

    def running(self) -> None:
        try:
            options.check_names(ctx.options.deferred)
            owed = self.engine.resume(self.operations.speed)
        except LatehookError as error:
            _end(str(error))
        if owed:
            log.info("latehook: %d webhook%s still owed from before", owed, "" if owed == 1 else "s")
        self._started.set()
        gc.freeze()  # what is loaded stays: looking through all of it would stop the loop for tens of milliseconds
        self._look_around()
        log.info("latehook: ready for %s", self._named_hosts())

    async def done(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        owed = await self.engine.close()
        if owed:
            log.warning("latehook: stopped with %d webhook%s still owed", owed, "" if owed == 1 else "s")
        log.removeFilter(self._hiding)

    def _configure(self) -> None:
        given = {name: getattr(ctx.options, name) for name in options.HELP}
        parsed = options.parse(given, self._beside)
        if not hasattr(self, "engine"):
            self._open(parsed)
        elif parsed.store != self.engine.store.path:
            raise errors.OptionError(f"mock_store={parsed.store}: the store is chosen at the start: start anew with it")
        reload = Watcher(parsed.files, self._env, self.engine.use)
        reload.load()
        self.engine.configure(parsed.workers, parsed.keep)
        self._targets = parsed.targets
        self._token = parsed.token
        if self._watching is not None:
            self._watching.cancel()
        self._watching = asyncio.get_running_loop().create_task(reload.watch(), name="latehook: watch mocks files")

    def _open(self, parsed: options.Options) -> None:
        """Store, clock and source of chance are chosen once, at the start."""
        store = Store(parsed.store, self._redaction)
        restore = functools.partial(loading.restore, env=self._env, redaction=self._redaction)
        transport = LazyTransport(self._refusal, self._route)
        self.engine = Engine(Mocks(), store, transport, Clock(), random.Random(), restore, self._close_hosts)
        self.operations = Operations(self.engine, self._load_mocks, parsed.speed, parsed.seed, self._env)
        self.operations.seed_random()

    def _load_mocks(self, text: str, file: str | None, variables: Mapping[str, Any]) -> Mocks:
        return loading.load_text(text, file, self._env, variables)

    def _close_hosts(self, mocks: Mocks) -> None:
        self.guard.hosts.close(mock.matcher for mock in mocks.all)

    def _refusal(self, host: str, port: int, address: str | None) -> str | None:
        return self.guard.refusal(host, port, address) or self._targets.refusal(host, port, address)

    def _route(self, origin: Origin) -> Origin:
        return self._targets.route(origin)

    def _look_around(self) -> None:
        self._attention = observers.of(ctx.master)
        observers.place(ctx.master, self, first=not self._attention.acts)
        self.engine.observe_attempts(self._show if self._attention.looks else None)

    def _show(self, ended: RunningAttempt, outcome: Outcome) -> None:
        flows.show(ctx.master, flows.of_attempt(ended, outcome, self._redaction.redact))

    def _named_hosts(self) -> str:
        hosts = dict.fromkeys(mock.matcher.host for mock in self.engine.mocks.all)
        return ", ".join(hosts) or "no host"

    # Requests

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if not flow.live:  # out of a file
            return
        if flows.WEBHOOK in flow.metadata:  # an attempt that mitmproxy is to replay: it would go anywhere
            flow.response = self._not_replayed(flow)
            return
        exchange = self.guard.exchange(flow)
        if exchange.mocked:
            self._prepare(flow, exchange)
        else:
            flow.request.stream = flow.response is None and _is_long(flow.request)

    async def request(self, flow: http.HTTPFlow) -> None:
        if not flow.live or flow.response is not None or flow.error is not None:
            return
        exchange = self.guard.exchange(flow)
        if exchange.sent is not None:
            await self._started.wait()
            flow.response = await asgi.serve(await self._control(), flow, exchange)
            raise exceptions.AddonHalt
        if exchange.stays:
            flow.response = await (exchange.answering or self._answer(flow, exchange))
            exchange.forward = flow.response is None
        if exchange.stays and self._is_alone:
            raise exceptions.AddonHalt

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if flow.live and flow.response is not None and not self.guard.exchange(flow).stays:
            flow.response.stream = flow.response.stream or _is_long(flow.response)

    def update(self, flows: Sequence[Any]) -> None:
        """mitmproxy tells all addons of every change of a flow; only a list of flows wants to know."""
        if self._attention.acts or self._attention.lists:
            return
        if all(isinstance(flow, http.HTTPFlow) and self.guard.exchange(flow).stays for flow in flows):
            raise exceptions.AddonHalt

    @property
    def _is_alone(self) -> bool:
        """Whether a mocked request's flow concerns nobody else until it has ended, and then only who prints it."""
        return not (self._attention.acts or self._attention.looks)

    def _settle(self, hook: StartHook, flow: http.HTTPFlow, exchange: Exchange) -> bool:
        """Deal with a mocked request's hook at once where nobody else would hear it.

        mitmproxy would make a task for it and ask forty addons, twice: a third of what a request costs.
        """
        if exchange.sent is not None:
            return not isinstance(hook, HttpRequestHook)
        if not self._is_alone:
            return False
        match hook:
            case HttpRequestHeadersHook():
                self._prepare(flow, exchange)
                return exchange.stays
            case HttpRequestHook():
                return self._answers_at_once(flow, exchange)
            case HttpResponseHeadersHook():
                return True
            case HttpResponseHook() | HttpErrorHook():
                return not self._attention.prints
        return False

    def _answers_at_once(self, flow: http.HTTPFlow, exchange: Exchange) -> bool:
        """Begin to answer. If that has to wait for something, the hook does so."""
        loop = asyncio.get_running_loop()
        exchange.answering = asyncio.Task(self._answer(flow, exchange), loop=loop, eager_start=True)
        if not exchange.answering.done():
            return False
        flow.response = exchange.answering.result()
        exchange.forward = flow.response is None
        return exchange.stays

    def _prepare(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Before a mocked request's body comes: is it forwarded at once, and what is to be read of it on the way?"""
        mocks = self.engine.mocks
        if mocks.forwards and self.engine.forwards_at_once(request_of(flow, exchange)):
            exchange.forward = flow.request.stream = True
        elif mocks.body_members:
            read_on_the_way(exchange.upload, mocks.body_members, flow.request)

    async def _control(self) -> asgi.App:
        """The control API. It is imported when it is first asked for, in a thread: nobody else waits for it."""
        if self._app is None:
            module = await asyncio.to_thread(import_module, "latehook.control.app")
            access = module.Access(lambda: self._token, self.guard.hosts.closed)
            self._app = self._app or module.App(self.operations, Path(ctx.options.confdir), access)
        return self._app

    async def _answer(self, flow: http.HTTPFlow, exchange: Exchange) -> http.Response | None:
        """The response; None where the request is forwarded."""
        request = request_of(flow, exchange)
        await self._started.wait()  # mitmproxy listens a little before: what a start that fails accepts would be lost
        try:
            answer = await self.engine.accept(request)
        except Exception as error:
            log.exception("latehook: a request could not be answered")
            problem = f"an error of its own: {type(error).__name__}"
            return self._failure(500, problem, request)
        exchange.fault = answer.fault
        if self._attention.looks and answer.job_id is not None:
            flow.comment = self._redaction.redact(flows.comment(answer.job_id))
        if answer.response is None and request.body is None:
            problem = "a forwarded request of this size needs a mock without `when` or `times`"
            return self._failure(502, problem, request)
        return None if answer.response is None else http_response(answer.response, request.method)

    def _failure(self, status: int, problem: str, request: Request) -> http.Response:
        return http_response(error_responses.failure(status, problem, request, self._redaction), request.method)

    def _not_replayed(self, flow: http.HTTPFlow) -> http.Response:
        webhook = flow.metadata[flows.WEBHOOK]
        problem = f"an attempt at a webhook is not replayed: the command `mock.resend {webhook}` sends it again"
        return self._failure(409, problem, request_of(flow, Exchange(True)))

    def _not_contacted(self, flow: http.HTTPFlow) -> http.Response:
        """What the choke point answers where nothing else has: a hook of ours failed or was never asked."""
        error = "this request was not answered, and a mocked host is never contacted"
        try:
            return self._failure(502, error, request_of(flow, Exchange(True)))
        except Exception:  # in a layer, an exception would leave the client without an answer
            log.exception("latehook: an error of its own")
            body = b'{"error": "latehook: %s"}' % error.encode()
            return http_response(Response(502, (("content-type", JSON),), body), flow.request.method)


def _is_long(message: http.Request | http.Response) -> bool:
    length = message.headers.get("content-length", "")
    return not length.isdigit() or int(length) > STREAM_FROM
