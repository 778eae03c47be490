"""One history of several processes on one store: chosen by a seed, and checked."""

import asyncio
import json
import random
from collections.abc import Callable, Collection, Sequence
from itertools import count
from typing import Any

from msgspec.structs import replace

from latehook.base.messages import Outcome, Outgoing, Request
from latehook.mocks.decisions import Decision
from latehook.store.world import AddedMocks
from support.simulation.invariants import Invariants
from support.simulation.kernel import NEVER, Kernel
from support.simulation.mocks import ADDED, MOCKS, RETRIES, TIMES
from support.simulation.process import LEASE, Interval, Process, compiled
from support.simulation.server import Server
from support.simulation.tables import Guard

LATE = 3600
"""Seconds after which a webhook is due that only an advance sends."""

END = 40.0
"""Seconds after the last fault in which everything that is owed must be sent."""


Fault = Callable[["History"], Any]


class History:
    """A history. `seed` chooses everything, `faults` what happens besides requests (None: some of FAULTS).

    `without` are conditions of the database that are out.
    """

    def __init__(self, seed: int, without: Collection[Guard] = (), faults: Sequence[Fault] | None = None) -> None:
        self.seed = seed
        self.events: list[str] = []
        """What has happened, for people."""
        self._faults = faults
        self._source = source = random.Random(seed)
        self._kernel = Kernel(source)
        self._server = Server(self._kernel, without)
        self._seen = Invariants(self._kernel, self._server.database, self._fail)
        self._processes: list[Process] = []
        self._mocks = compiled(MOCKS)
        self._ids = count()
        self._is_healed = False
        self._error: BaseException | None = None
        self._releases = 0  # those that have begun
        self._resets = 0  # their beginnings and ends
        self._resetting = 0  # those that may still happen
        self._releasing = 0  # those that may still happen
        self._length = source.uniform(3, 8)

    def run(self) -> None:
        """Run it. Raises Broken."""
        try:
            for _ in range(self._source.choice([2, 2, 3])):
                self._kernel.after(self._source.uniform(0, 0.5), self._start_process)
            faults = self._faults or self._source.sample(FAULTS, self._source.randint(1, 4))
            for _ in range(self._source.randint(8, 20)):
                act = self._source.choice([History.post, History.post, *faults])
                self._kernel.after(self._source.uniform(0, self._length), lambda act=act: act(self))  # type: ignore[misc]
            self._kernel.run(self._length)
            if self._error is None:
                self._heal()
                self._kernel.run(self._length + END)
            if self._error is not None:
                raise self._error
            self._seen.check_end()
        finally:
            for process in self._processes:
                process.end()

    # Processes and their faults

    def _start_process(self) -> None:
        number = len(self._processes) + 1
        surroundings = self._receive, self._seen.check_hosts, self._fail
        process = Process(self._kernel, self._server, self._mocks, *surroundings, number)
        self._processes.append(process)
        self._note(f"{process.name} starts")

        def failed() -> None:
            self._note(f"{process.name} cannot start")
            self._kernel.after(0.3, self._start_process)

        process.start(failed)

    def _alive(self) -> list[Process]:
        return [process for process in self._processes if not process.is_dead]

    def _some(self, processes: list[Process] | None = None) -> Process | None:
        found = [process for process in processes or self._alive() if process.is_ready]
        return self._source.choice(found) if found else None

    def crash(self) -> None:
        process = self._some()
        if process is not None:
            self._note(f"{process.name} is killed")
            process.crash()
            if len(self._alive()) < 2 or self._source.random() < 0.5:
                self._kernel.after(self._source.uniform(0, 3 * LEASE), self._start_process)

    def stop(self) -> None:
        process = self._some()
        if process is not None:
            self._note(f"{process.name} ends")
            process.stop(lambda: self._note(f"{process.name} has ended"))
            self._kernel.after(self._source.uniform(0, LEASE), self._start_process)

    def pause(self) -> None:
        process = self._some()
        if process is not None:
            seconds = self._source.choice([0.3, 0.8, 1.2, 2]) * LEASE
            self._note(f"{process.name} is paused for {seconds:.1f} s")
            process.pause(seconds)
            self._ask_later(process, seconds)

    def cut(self) -> None:
        process = self._some()
        if process is not None and not process.is_cut:
            seconds = self._source.choice([0.2, 0.5, 1.2, 2]) * LEASE
            self._note(f"{process.name} is cut off for {seconds:.1f} s")
            process.cut()
            self._kernel.after(seconds, process.mend)
            self._ask_later(process, seconds)

    def _ask_later(self, process: Process, seconds: float) -> None:
        """Let clients ask a process at the end of its fault, or a little earlier."""

        def ask() -> None:
            if process.is_ready:
                self.post(process=process)
                for id in list(self._seen.answered)[-1:]:
                    self._look_up(id, process)

        self._kernel.after(seconds * self._source.choice([0.7, 1.0]), ask)

    def lose_connections(self) -> None:
        process = self._some()
        if process is not None and not process.is_cut:
            self._note(f"{process.name} loses its connections")
            process.lose_connections()

    def restart_database(self) -> None:
        self._note("the database restarts")
        for process in self._alive():
            process.lose_connections()
        self._server.stop()
        self._kernel.after(self._source.uniform(0.1, 0.5), self._server.start)

    def lose_notices(self) -> None:
        self._server.loses_notices = self._source.choice([0.0, 0.5, 1.0])
        self._note(f"notices are lost: {self._server.loses_notices}")

    def _heal(self) -> None:
        """End all faults, and release what is held."""
        self._note("all faults end")
        self._is_healed = True
        self._server.is_down = False
        self._server.loses_notices = 0.0
        for process in self._alive():
            process.mend()
        if not self._alive():
            self._start_process()
        self._release_again()
        self._end_when_done()

    def _release_again(self) -> None:
        """Release what is held, and advance, until that has succeeded."""
        process = self._some()

        def released(result: object) -> None:
            if isinstance(result, Exception):
                self._kernel.after(0.3, self._release_again)
            else:
                self.advance(10 * LATE)

        if process is None:
            self._kernel.after(0.3, self._release_again)
        else:
            self._seen.held_since = NEVER
            self._releases += 1
            process.run(lambda: process.engine.state.change(lambda world: replace(world, holding=False)), released)

    # What clients do

    def post(self, key: str | None = None, process: Process | None = None) -> None:
        process = process or self._some()
        if process is None:
            return
        id = f"j{next(self._ids)}"
        key = key or id
        after = self._source.choice([0, 0, 0, 0.3, 1, LATE])
        body = json.dumps({"id": id, "key": key, "after": after}).encode()
        self._note(f"{process.name} gets job {id}, key {key}, after {after} s")
        resets = self._resets

        def answered(decision: Decision) -> None:
            if decision.response is None or decision.response.status != 200:
                self._note(f"{process.name} answers {id} with an error")
                return
            answer = json.loads(decision.response.body)["id"]
            self._note(f"{process.name} answers {id} with {answer}")
            if resets != self._resets or self._resetting:
                return
            if any(known == key and job != answer for job, known in self._seen.answered.items()):
                self._seen.break_off(f"the idempotency key {key} has two jobs")
            if answer not in self._seen.answered and self._source.random() < 0.3:
                self._look_up(answer)
            self._seen.answered[answer] = key

        path = "/chains" if int(key[1:]) % 4 == 0 else "/jobs"  # keys are those of one mock
        process.run(lambda: self._ask(process, _request("POST", path, body)), answered)

    async def _ask(self, process: Process, request: Request) -> Decision:
        was_over = self._seen.is_over(process)
        decision = await process.engine.accept(request)
        if was_over and decision.response is not None and decision.response.status == 200:
            self._seen.break_off(f"{process.name} answers though its lease is over")
        return decision

    def post_twice(self) -> None:
        key = f"k{next(self._ids)}"
        for _ in range(2):
            self._kernel.after(self._source.choice([0, 0, 0.01, 0.5]), lambda: self.post(key))

    def _look_up(self, id: str, process: Process | None = None) -> None:
        process = process or self._some()
        if process is None:
            return
        resets = self._resets

        def answered(decision: Decision) -> None:
            status = 0 if decision.response is None else decision.response.status
            self._note(f"{process.name} answers the lookup of {id} with {status}")
            if status == 404 and resets == self._resets and not self._resetting:
                self._seen.break_off(f"{process.name} does not find {id}, which was answered before")

        process.run(lambda: self._ask(process, _request("GET", f"/jobs/{id}", b"")), answered)

    def ask_limited(self) -> None:
        """Send requests to a mock that answers only some."""

        def answered(decision: Decision) -> None:
            self._seen.limited += decision.response is not None and decision.response.status == 200
            if self._seen.limited > TIMES:
                self._seen.break_off(f"a mock with `times: {TIMES}` answers {self._seen.limited} requests")

        for _ in range(2):
            process = self._some()
            if process is not None:
                process.run(lambda process=process: self._ask(process, _request("POST", "/limited", b"{}")), answered)

    def hold(self) -> None:
        process = self._some()
        if process is None or self._is_healed:
            return
        self._note(f"{process.name} holds all")
        releases, is_certain = self._releases, not self._releasing  # a release under way may count after the hold

        def held(result: object) -> None:
            self._note(f"{process.name} holds all: {result or 'done'}")
            if not isinstance(result, Exception) and is_certain and releases == self._releases:
                self._seen.held_since = min(self._kernel.now, self._seen.held_since)

        process.run(lambda: process.engine.state.change(lambda world: replace(world, holding=True)), held)
        self._kernel.after(self._source.uniform(0.3, 3), self._release)

    def _release(self) -> None:
        process = self._some()
        if process is None or self._is_healed:
            return
        self._note(f"{process.name} releases all")
        self._seen.held_since = NEVER
        self._releases += 1
        self._releasing += 1

        def released(result: object) -> None:
            self._releasing -= not isinstance(result, Exception)  # one that has failed may still happen
            self._note(f"{process.name} releases all: {result or 'done'}")

        process.run(lambda: process.engine.state.change(lambda world: replace(world, holding=False)), released)

    def reset(self) -> None:
        """Reset all. What is answered meanwhile may be forgotten or not."""
        process = self._some()
        if process is None or self._is_healed:
            return
        self._note(f"{process.name} resets all")
        before = set(self._seen.answered)
        self._resetting += 1
        self._releasing += 1
        interval = Interval(self._kernel.now)
        self._seen.reset_intervals.append(interval)
        self._forget()

        def was_reset(result: object) -> None:
            self._note(f"{process.name} resets all: {result if isinstance(result, Exception) else 'done'}")
            if not isinstance(result, Exception):  # else it may still happen
                self._resetting -= 1
                self._releasing -= 1
                interval.end = self._kernel.now
                self._seen.forgotten |= before
            self._forget()

        process.run(process.operations.reset, was_reset)

    def _forget(self) -> None:
        """Expect nothing of what has happened so far."""
        self._seen.answered.clear()
        self._seen.closed.clear()
        self._resets += 1
        self._seen.limited = -RETRIES
        self._seen.held_since = NEVER
        self._releases += 1

    def add_mocks(self) -> None:
        process = self._some()
        if process is None:
            return
        host = f"h{next(self._ids)}.test"
        self._note(f"{process.name} adds mocks for {host}")
        resets = self._resets

        def added(result: object) -> None:
            if not isinstance(result, Exception) and resets == self._resets and not self._resetting:
                self._note(f"mocks for {host} are added")
                self._seen.closed.add(host)

        process.run(lambda: process.engine.add(AddedMocks(ADDED.replace("HOST", host))), added)

    def advance(self, seconds: float = LATE) -> None:
        process = self._some()
        if process is None:
            return
        self._note(f"{process.name} advances")

        def advanced(result: object) -> None:
            self._note(f"{process.name} has advanced: {result if isinstance(result, Exception) else 'done'}")
            if self._is_healed:  # a request that came at its end may have another job
                self._kernel.after(0.5, self._release_again)

        process.run(lambda: process.operations.advance(seconds, limit=LEASE), advanced)

    # The receiver

    async def _receive(self, process: Process, outgoing: Outgoing) -> Outcome:
        headers = dict(outgoing.headers)
        job, stage, number = outgoing.url.rpartition("/")[2], int(headers["event"]), int(headers["attempt"])
        self._note(f"{process.name} sends {job}/{stage}, attempt {number}")
        send = self._seen.sent(process, job, stage, number)
        await asyncio.sleep(self._source.choice([0.001, 0.02, 0.3, 1.0]))
        send.end = self._kernel.now
        send.status = 200 if self._is_healed or self._source.random() < 0.7 else 500
        return Outcome(0.0, 0.0, send.status)

    # The end

    def _fail(self, error: BaseException) -> None:
        """End the history with an error. The code that is running may catch exceptions."""
        self._error = self._error or error
        self._kernel.stop()

    def _end_when_done(self) -> None:
        if self._seen.is_done:
            self._kernel.stop()
        else:
            self._kernel.after(0.2, self._end_when_done)

    # For people

    def _note(self, text: str) -> None:
        self.events.append(f"{self._kernel.now:7.3f} {text}")


def _request(method: str, target: str, body: bytes) -> Request:
    headers = ((b"content-type", b"application/json"),)
    return Request(method, "https", "api.test", 443, target, headers, body, len(body))


FAULTS: list[Fault] = [
    History.post_twice,
    History.ask_limited,
    History.hold,
    History.reset,
    History.add_mocks,
    History.advance,
    History.crash,
    History.stop,
    History.pause,
    History.cut,
    History.lose_connections,
    History.restart_database,
    History.lose_notices,
]
"""What happens besides requests. A history has a few of them: each often enough to meet the others."""
