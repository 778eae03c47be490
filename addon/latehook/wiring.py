"""Make Latehook's parts, hand each what it needs, and start, reconfigure and stop them."""

import asyncio
import functools
import gc
import logging
import os
import random
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from mitmproxy import exceptions
from mitmproxy.addonmanager import Loader
from mitmproxy.master import Master

from latehook import options
from latehook.base import logs
from latehook.base.clock import Clock
from latehook.base.errors import LatehookError, OptionError
from latehook.base.messages import Outcome
from latehook.base.redaction import Redaction
from latehook.delivery.attempts import RunningAttempt
from latehook.delivery.lazy_transport import LazyTransport
from latehook.engine.engine import Engine
from latehook.engine.operations import Operations
from latehook.mocks.definitions import Mocks
from latehook.mocksfile import loading
from latehook.mocksfile.secrets import secrets_of_environment
from latehook.mocksfile.watch import Watcher
from latehook.options import Others
from latehook.proxy import asgi, compat, fast, flows, hangup, introduction, listeners, option_conflicts, supported
from latehook.proxy.abort import abort
from latehook.proxy.certificates import Certificates
from latehook.proxy.commands import Commands
from latehook.proxy.guard import Guard
from latehook.proxy.hooks import Hooks
from latehook.proxy.mocked_hosts import ClosedHosts, MockedHosts
from latehook.proxy.observers import Observers
from latehook.proxy.open_connections import OpenConnections
from latehook.proxy.option_conflicts import OptionConflicts
from latehook.proxy.other_hosts import OtherHosts
from latehook.proxy.request_state import RequestStates
from latehook.store.choosing import make_store
from latehook.webhooks.targets import Origin

log = logging.getLogger(logs.LOGGER)


def start(master: Master, loader: Loader, folder: Path, introduces: bool) -> None:
    """Add Latehook to mitmproxy's addons, or end mitmproxy with one line. `folder` is that of mock.py."""
    env = dict(os.environ)
    redaction = Redaction(secrets_of_environment(env).values)
    try:
        for name, text in options.HELP.items():
            loader.add_option(name, Sequence[str], [], text)
        _check_confdir(master)
        master.options.process_deferred()  # read the values that --set gave before the options were known
        latehook = Latehook(master, folder, env, redaction, introduces)
        master.addons.add(latehook)
        latehook.observe()
    except BaseException as error:
        log.debug("latehook: cannot start", exc_info=True)
        error = _misspelt_option(master) or error
        reason = str(error) if isinstance(error, LatehookError) else supported.explain(error)
        abort(redaction.redact(reason))


def _check_confdir(master: Master) -> None:
    """Raise OptionError if mitmproxy's folder cannot be made: it fails later, with a traceback."""
    confdir = master.options.confdir
    try:
        Path(confdir).expanduser().mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        problem = f"mitmproxy keeps its CA in this folder, which cannot be made ({error})"
        raise OptionError(f"confdir={confdir}: {problem}: set HOME, or --set confdir=FOLDER") from None


def _misspelt_option(master: Master) -> OptionError | None:
    """Return what is wrong with the name of an option that was given: other errors may follow from it."""
    try:
        options.check_names(master.options.deferred)
    except OptionError as error:
        return error
    return None


class Latehook:
    """mitmproxy's addon. It outlives reloads of mock.py, broken edits of it and its deletion."""

    name = "latehook"

    def __init__(
        self, master: Master, folder: Path, env: Mapping[str, str], redaction: Redaction, introduces: bool
    ) -> None:
        self._master = master
        self._introduces = introduces
        self._folder = folder
        self._env = env
        self._redaction = redaction
        self._log_filter = logs.RedactingFilter(redaction)
        log.setLevel(logging.INFO)
        log.addFilter(self._log_filter)
        self._started = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._app: asgi.App | None = None
        self._has_named_idle = False
        self._options = self._parse_options()
        self._hosts = MockedHosts()
        self._connections = OpenConnections()
        self._conflicts = OptionConflicts(self._hosts)
        self._observers = Observers()
        fast.skip_add_log(master, self._observers)
        self._engine = self._make_engine()
        self._operations = Operations(self._engine, self._options.speed, self._options.seed)
        standing = self._engine.standing
        others = OtherHosts(lambda: self._options.others, self._engine.note_other, lambda: standing.closes_all_hosts)
        closed = ClosedHosts(self._hosts, lambda: others.refused)
        states = RequestStates(closed)
        hooks = Hooks(self._engine, states, self._observers, others, self._control, redaction, self._started)
        shortcuts = fast.Shortcuts(hooks, self._observers)
        guard = Guard(closed, others, states, hooks, shortcuts, self._connections, self._started)
        self.addons = [guard, hooks, Commands(self._operations)]
        self._apply(self._options)

    def _make_engine(self) -> Engine:
        store = make_store(self._options.store, self._redaction)
        transport = LazyTransport(self._refusal, self._route)
        restore = functools.partial(loading.restore, env=self._env, redaction=self._redaction)
        source = random.Random()
        return Engine(Mocks(), store, transport, Clock(), source, restore, self._load_mocks, self._add_hosts)

    # mitmproxy's hooks

    def configure(self, updated: set[str]) -> None:
        """Apply changed options. If one is wrong, OptionsError has mitmproxy restore the old value."""
        if updated & options.HELP.keys():
            try:
                parsed = self._parse_options()
                if parsed.store != self._options.store:
                    raise OptionError(f"mock_store={parsed.store}: it is chosen at the start: restart with it")
                self._apply(parsed)
            except LatehookError as error:
                raise exceptions.OptionsError(f"latehook: {self._redaction.redact(str(error))}") from None
        if updated.intersection(option_conflicts.OPTIONS):
            self._report_conflicts()
        self.observe()

    async def running(self) -> None:
        try:
            options.check_names(self._master.options.deferred)
            owed = await self._engine.resume(self._operations.speed)
            await self._operations.seed_random()
        except LatehookError as error:
            abort(self._redaction.redact(str(error)))
        if owed:
            log.info("latehook: %d webhook%s still owed from before", owed, "" if owed == 1 else "s")
        self._started.set()
        gc.freeze()  # collecting garbage among all that is loaded would stop the loop for tens of milliseconds
        self.observe()
        hangup.stop_on_hangup(self._master)
        listeners.keep_bursts()
        if not self._introduces and (page := listeners.page_url()) is not None:
            log.info("latehook: the page with all jobs and webhooks: %s", page)
        log.info("latehook: ready for %s", self._named_hosts())
        if self._introduces:
            introduction.show(self._master.options, self._named_hosts(), self._options.files)

    async def done(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        owed = await self._engine.close()
        if owed:
            log.warning("latehook: stopped with %d webhook%s still owed", owed, "" if owed == 1 else "s")
        log.removeFilter(self._log_filter)

    def observe(self) -> None:
        """Adapt to mitmproxy's other addons: take the right place among them, and show them attempts if one records."""
        self._observers.update(self._master)
        compat.place(self._master, self, first=fast.is_first(self._observers))
        if self._started.is_set():
            self._name_what_has_no_effect()
        self._engine.observe_attempts(self._record if self._observers.records else None)

    def _name_what_has_no_effect(self) -> None:
        """Log once which scripts and options have no effect on the TLS of other hosts, unless that was asked for."""
        idle = [*self._observers.names, *(["the list of flows"] if self._observers.lists else [])]
        if not idle or self._has_named_idle or self._master.options.mock_others or self._options.others != Others.PASS:
            return
        self._has_named_idle = True
        log.warning(
            "latehook: HTTPS to hosts that no mock names passes undecrypted, so these have no effect on it: %s; to "
            "change that: --set mock_others=intercept (or =pass, to leave this line out)",
            ", ".join(idle),
        )

    # Options

    def _parse_options(self) -> options.Options:
        given = {name: getattr(self._master.options, name) for name in options.HELP}
        return options.parse(given, self._folder)

    def _apply(self, parsed: options.Options) -> None:
        """Use these options; MocksError if their mocks files cannot be used."""
        watcher = Watcher(parsed.files, self._env, self._engine.use)
        watcher.load()
        self._engine.configure(parsed.workers, parsed.keep)
        self._options = parsed
        if self._watching is not None:
            self._watching.cancel()
        self._watching = asyncio.get_running_loop().create_task(watcher.watch(), name="latehook: watch mocks files")

    # What the parts ask for

    def _load_mocks(
        self, text: str, file: str | None, variables: Mapping[str, Any], files: Mapping[str, bytes]
    ) -> Mocks:
        return loading.load_text(text, file, self._env, variables, files)

    def _add_hosts(self, mocks: Mocks) -> None:
        before = self._hosts.copy()
        self._hosts.add((mock.matcher for mock in mocks.all), mocks.forwards)
        if self._hosts == before:
            return
        self._connections.end(lambda host, port: self._hosts.contains(host, port) and not before.contains(host, port))
        self._report_conflicts()

    def _report_conflicts(self) -> None:
        given = self._master.options
        self._conflicts.report({name: getattr(given, name) for name in option_conflicts.OPTIONS if name in given})

    def _refusal(self, host: str, port: int, address: str | None) -> str | None:
        refusal = listeners.refusal(self._hosts, host, port, address)
        return refusal or self._options.targets.refusal(host, port, address)

    def _route(self, origin: Origin) -> Origin:
        return self._options.targets.route(origin)

    def _record(self, ended: RunningAttempt, outcome: Outcome) -> None:
        flows.record(self._master, flows.of_attempt(ended, outcome, self._redaction.redact))

    def _may_be_shared(self) -> bool:
        """Return whether other processes may use the store: some do, or there is the token that they would need."""
        cluster = self._engine.store.cluster
        return cluster is not None and (cluster.has_company or self._options.token is not None)

    async def _control(self) -> asgi.App:
        """Return the control API. It is imported at its first request, in a thread: other requests do not wait."""
        if self._app is None:
            module = await asyncio.to_thread(import_module, "latehook.control.app")
            access = module.Access(lambda: self._options.token, self._hosts.contains, self._may_be_shared)
            certificates = Certificates(Path(self._master.options.confdir))
            self._app = self._app or module.App(self._operations, certificates, access)
        return self._app

    def _named_hosts(self) -> str:
        hosts = dict.fromkeys(mock.matcher.host for mock in self._engine.mocks.all)
        return ", ".join(hosts) or "no host"
