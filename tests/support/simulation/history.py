"""One history of several processes on one store: chosen by a seed, and checked."""

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from msgspec.structs import replace

from latehook.base.messages import Outcome, Outgoing, Request
from latehook.mocks.decisions import Decision
from latehook.store.world import AddedMocks
from support.simulation.kernel import NEVER, Kernel
from support.simulation.process import LEASE, Interval, Process, compiled, overlaps
from support.simulation.server import Server
from support.simulation.tables import Guard, Webhook

RETRIES = 60

TIMES = 3

MOCKS = f"""
mocks:
  - match: GET api.test/jobs/{{id}}
    lookup: request.path.id
    response: {{json: {{id: "{{{{ job.id }}}}"}}}}
  - match: POST api.test/limited
    times: {TIMES}
    response: {{json: {{}}}}
  - match: POST api.test/jobs
    job: {{id: "{{{{ request.json.id }}}}", idempotency_key: "{{{{ request.json.key }}}}"}}
    response: {{json: {{id: "{{{{ job.id }}}}"}}}}
    webhook:
      to: "http://sut.test/{{{{ job.id }}}}"
      event: "{{{{ job.status }}}}"
      headers: {{event: "{{{{ job.status }}}}", attempt: "{{{{ webhook.attempt }}}}"}}
      retry: {json.dumps(["0.5s"] * RETRIES)}
    stages:
      - {{after: "{{{{ request.json.after }}}}", status: "0", webhook: true}}
      - {{after: "{{{{ request.json.after * 2 }}}}", status: "1", webhook: true}}
  - match: POST api.test/chains
    job: {{id: "{{{{ request.json.id }}}}", idempotency_key: "{{{{ request.json.key }}}}"}}
    response: {{json: {{id: "{{{{ job.id }}}}"}}}}
    webhook:
      to: "http://sut.test/{{{{ job.id }}}}"
      event: "{{{{ job.status }}}}"
      headers: {{event: "{{{{ job.status }}}}", attempt: "{{{{ webhook.attempt }}}}"}}
      retry: {json.dumps(["0.5s"] * RETRIES)}
    stages:
      - {{after: "{{{{ request.json.after }}}}", status: "0", webhook: true}}
      - {{after: {{ended: "0", plus: 0.2s}}, status: "1", webhook: true}}
"""

ADDED = "mocks: [{match: POST HOST/jobs, response: {json: {}}}]"

LATE = 3600
"""Seconds after which a webhook is due that only an advance sends."""

END = 40.0
"""Seconds after the last fault in which everything that is owed must be sent."""


Fault = Callable[["History"], Any]


class Broken(AssertionError):
    """An invariant does not hold."""


@dataclass
class Send:
    """An attempt, as the receiver sees it. It has `begun` in the database, and its answer is `kept` there."""

    process: Process
    number: int
    begun: float
    start: float
    end: float = NEVER
    status: int = 0
    kept: float = NEVER


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
        self._server.database.on_begun = self._on_begun
        self._server.database.on_attempt = self._on_attempt
        self._processes: list[Process] = []
        self._mocks = compiled(MOCKS)
        self._sends: dict[str, dict[int, list[Send]]] = defaultdict(lambda: defaultdict(list))
        self._ids = count()
        self._begun: dict[tuple[int, str, int, int], float] = {}
        self._answered: dict[str, str] = {}  # job → the idempotency key of its request
        self._held_since = NEVER  # when a hold has returned
        self._limited = 0  # requests that a mock has answered which answers some
        self._closed: set[str] = set()  # hosts whose mocks were added, and that has returned
        self._is_healed = False
        self._error: BaseException | None = None
        self._releases = 0  # those that have begun
        self._resets = 0  # their beginnings and ends
        self._reset_intervals: list[Interval] = []  # a process that applies one breaks off its attempts
        self._resetting = 0  # those that may still happen
        self._forgotten: set[str] = set()  # jobs that a reset has forgotten that has returned
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
            self._check_end()
        finally:
            for process in self._processes:
                process.end()

    # Processes and their faults

    def _start_process(self) -> None:
        number = len(self._processes) + 1
        surroundings = self._receive, self._check_hosts, self._fail
        process = Process(self._kernel, self._server, self._mocks, *surroundings, number)
        self._processes.append(process)
        self._note(f"{self._name(process)} starts")

        def failed() -> None:
            self._note(f"{self._name(process)} cannot start")
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
            self._note(f"{self._name(process)} is killed")
            process.crash()
            if len(self._alive()) < 2 or self._source.random() < 0.5:
                self._kernel.after(self._source.uniform(0, 3 * LEASE), self._start_process)

    def stop(self) -> None:
        process = self._some()
        if process is not None:
            self._note(f"{self._name(process)} ends")
            process.stop(lambda: self._note(f"{self._name(process)} has ended"))
            self._kernel.after(self._source.uniform(0, LEASE), self._start_process)

    def pause(self) -> None:
        process = self._some()
        if process is not None:
            seconds = self._source.choice([0.3, 0.8, 1.2, 2]) * LEASE
            self._note(f"{self._name(process)} is paused for {seconds:.1f} s")
            process.pause(seconds)
            self._ask_later(process, seconds)

    def cut(self) -> None:
        process = self._some()
        if process is not None and not process.is_cut:
            seconds = self._source.choice([0.2, 0.5, 1.2, 2]) * LEASE
            self._note(f"{self._name(process)} is cut off for {seconds:.1f} s")
            process.cut()
            self._kernel.after(seconds, process.mend)
            self._ask_later(process, seconds)

    def _ask_later(self, process: Process, seconds: float) -> None:
        """Let clients ask a process at the end of its fault, or a little earlier."""

        def ask() -> None:
            if process.is_ready:
                self.post(process=process)
                for id in list(self._answered)[-1:]:
                    self._look_up(id, process)

        self._kernel.after(seconds * self._source.choice([0.7, 1.0]), ask)

    def lose_connections(self) -> None:
        process = self._some()
        if process is not None and not process.is_cut:
            self._note(f"{self._name(process)} loses its connections")
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
            self._held_since = NEVER
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
        self._note(f"{self._name(process)} gets job {id}, key {key}, after {after} s")
        resets = self._resets

        def answered(decision: Decision) -> None:
            if decision.response is None or decision.response.status != 200:
                self._note(f"{self._name(process)} answers {id} with an error")
                return
            answer = json.loads(decision.response.body)["id"]
            self._note(f"{self._name(process)} answers {id} with {answer}")
            if resets != self._resets or self._resetting:
                return
            if any(known == key and job != answer for job, known in self._answered.items()):
                self._break(f"the idempotency key {key} has two jobs")
            if answer not in self._answered and self._source.random() < 0.3:
                self._look_up(answer)
            self._answered[answer] = key

        path = "/chains" if int(key[1:]) % 4 == 0 else "/jobs"  # keys are those of one mock
        process.run(lambda: self._ask(process, _request("POST", path, body)), answered)

    async def _ask(self, process: Process, request: Request) -> Decision:
        was_over = self._is_over(process)
        decision = await process.engine.accept(request)
        if was_over and decision.response is not None and decision.response.status == 200:
            self._break(f"{self._name(process)} answers though its lease is over")
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
            self._note(f"{self._name(process)} answers the lookup of {id} with {status}")
            if status == 404 and resets == self._resets and not self._resetting:
                self._break(f"{self._name(process)} does not find {id}, which was answered before")

        process.run(lambda: self._ask(process, _request("GET", f"/jobs/{id}", b"")), answered)

    def ask_limited(self) -> None:
        """Send requests to a mock that answers only some."""

        def answered(decision: Decision) -> None:
            self._limited += decision.response is not None and decision.response.status == 200
            if self._limited > TIMES:
                self._break(f"a mock with `times: {TIMES}` answers {self._limited} requests")

        for _ in range(2):
            process = self._some()
            if process is not None:
                process.run(lambda process=process: self._ask(process, _request("POST", "/limited", b"{}")), answered)

    def hold(self) -> None:
        process = self._some()
        if process is None or self._is_healed:
            return
        self._note(f"{self._name(process)} holds all")
        releases = self._releases

        def held(result: object) -> None:
            self._note(f"{self._name(process)} holds all: {result or 'done'}")
            if not isinstance(result, Exception) and releases == self._releases and not self._releasing:
                self._held_since = min(self._kernel.now, self._held_since)

        process.run(lambda: process.engine.state.change(lambda world: replace(world, holding=True)), held)
        self._kernel.after(self._source.uniform(0.3, 3), self._release)

    def _release(self) -> None:
        process = self._some()
        if process is None or self._is_healed:
            return
        self._note(f"{self._name(process)} releases all")
        self._held_since = NEVER
        self._releases += 1
        self._releasing += 1

        def released(result: object) -> None:
            self._releasing -= not isinstance(result, Exception)  # one that has failed may still happen
            self._note(f"{self._name(process)} releases all: {result or 'done'}")

        process.run(lambda: process.engine.state.change(lambda world: replace(world, holding=False)), released)

    def reset(self) -> None:
        """Reset all. What is answered meanwhile may be forgotten or not."""
        process = self._some()
        if process is None or self._is_healed:
            return
        self._note(f"{self._name(process)} resets all")
        before = set(self._answered)
        self._resetting += 1
        self._releasing += 1
        interval = Interval(self._kernel.now)
        self._reset_intervals.append(interval)
        self._forget()

        def was_reset(result: object) -> None:
            self._note(f"{self._name(process)} resets all: {result if isinstance(result, Exception) else 'done'}")
            if not isinstance(result, Exception):  # else it may still happen
                self._resetting -= 1
                self._releasing -= 1
                interval.end = self._kernel.now
                self._forgotten |= before
            self._forget()

        process.run(process.operations.reset, was_reset)

    def _forget(self) -> None:
        """Expect nothing of what has happened so far."""
        self._answered.clear()
        self._closed.clear()
        self._resets += 1
        self._limited = -RETRIES
        self._held_since = NEVER
        self._releases += 1

    def add_mocks(self) -> None:
        process = self._some()
        if process is None:
            return
        host = f"h{next(self._ids)}.test"
        self._note(f"{self._name(process)} adds mocks for {host}")
        resets = self._resets

        def added(result: object) -> None:
            if not isinstance(result, Exception) and resets == self._resets and not self._resetting:
                self._note(f"mocks for {host} are added")
                self._closed.add(host)

        process.run(lambda: process.engine.add(AddedMocks(ADDED.replace("HOST", host))), added)

    def advance(self, seconds: float = LATE) -> None:
        process = self._some()
        if process is None:
            return
        self._note(f"{self._name(process)} advances")

        def advanced(result: object) -> None:
            self._note(f"{self._name(process)} has advanced: {result if isinstance(result, Exception) else 'done'}")
            if self._is_healed and not self._is_done():
                self._kernel.after(0.5, self._release_again)

        process.run(lambda: process.operations.advance(seconds, limit=LEASE), advanced)

    # The receiver

    async def _receive(self, process: Process, outgoing: Outgoing) -> Outcome:
        headers = dict(outgoing.headers)
        job, stage, number = outgoing.url.rpartition("/")[2], int(headers["event"]), int(headers["attempt"])
        begun = self._begun.pop((process.store.cluster.epoch, job, stage, number), self._kernel.now)
        send = Send(process, number, begun, self._kernel.now)
        self._note(f"{self._name(process)} sends {job}/{stage}, attempt {number}")
        self._sends[job][stage].append(send)
        self._check_send(job, stage, send)
        await asyncio.sleep(self._source.choice([0.001, 0.02, 0.3, 1.0]))
        send.end = self._kernel.now
        send.status = 200 if self._is_healed or self._source.random() < 0.7 else 500
        return Outcome(0.0, 0.0, send.status)

    # Invariants

    def _break(self, text: str) -> None:
        """Note that an invariant does not hold. The code that is running may catch exceptions."""
        self._fail(Broken(text))

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self._kernel.stop()

    def _on_begun(self, me: int, webhook: Webhook, number: int) -> None:
        """Check an attempt that begins in the database."""
        database = self._server.database
        if webhook.begun not in (None, me) and webhook.begun in database.nodes:
            self._break(f"two processes begin attempt {number} at webhook {webhook.key}")
        if me not in database.nodes:
            self._break(f"a process that was declared dead begins attempt {number} at webhook {webhook.key}")
        self._begun[me, self._job_of(webhook), webhook.stage, number] = self._kernel.now
        if self._held_since <= self._kernel.now:
            self._break(f"attempt {number} at webhook {webhook.key} begins after a hold has returned")

    def _on_attempt(self, me: int, webhook: Webhook, number: int) -> None:
        for send in self._sends[self._job_of(webhook)][webhook.stage]:
            if send.number == number and send.process.store.cluster.epoch == me:
                send.kept = min(send.kept, self._kernel.now)

    def _job_of(self, webhook: Webhook) -> str:
        job = self._server.database.jobs.get(webhook.job)
        return "" if job is None else job.id

    def _check_send(self, job: str, stage: int, send: Send) -> None:
        """Check an attempt when it leaves."""
        process = send.process
        if self._is_over(process):
            self._break(f"{self._name(process)} sends {job}/{stage} though its lease is over")
        is_cut = process.had_fault(send.begun, send.start)
        if job in self._forgotten and not is_cut:
            self._break(f"{self._name(process)} sends {job}/{stage}, which a reset has forgotten")
        if self._held_since < self._kernel.now and not is_cut:
            self._break(f"{self._name(process)} sends {job}/{stage} after a hold has returned")
        if stage > 0 and send.number == 1 and len(self._sends[job][stage]) == 1:
            earlier = self._sends[job][stage - 1]
            if not any(
                each.end <= self._kernel.now or each.process.had_fault(each.start, self._kernel.now) for each in earlier
            ):
                self._break(f"{job}/{stage} is sent before the first attempt of the stage before it has ended")
        for before in self._sends[job][stage][:-1]:
            is_again = before.number >= send.number or before.status == 200
            if is_again and not self._was_disturbed(before) and not process.had_fault(send.begun, send.start):
                self._break(f"{job}/{stage} is sent again, though no fault has cut its attempt {before.number}")

    def _was_disturbed(self, send: Send) -> bool:
        """Return whether a fault may have cut an attempt, or what was written about it."""
        until = min(send.kept, self._kernel.now)
        return send.process.had_fault(send.begun, until) or overlaps(self._reset_intervals, send.begun, until)

    def _check_hosts(self, process: Process) -> None:
        for host in self._closed:
            if process.lets_out(host) and not process.was_alone:
                self._break(f"{self._name(process)} lets {host} out, whose mocks were added")

    def _check_end(self) -> None:
        lost = [
            f"{job}/{stage}" for job in sorted(self._answered) for stage in (0, 1) if not self._is_received(job, stage)
        ]
        if lost:
            raise Broken(f"never delivered: {', '.join(lost)}")

    def _is_received(self, job: str, stage: int) -> bool:
        return any(send.status == 200 for send in self._sends[job][stage])

    def _is_done(self) -> bool:
        return all(self._is_received(job, stage) for job in self._answered for stage in (0, 1))

    def _end_when_done(self) -> None:
        if self._is_done():
            self._kernel.stop()
        else:
            self._kernel.after(0.2, self._end_when_done)

    def _is_over(self, process: Process) -> bool:
        """Return whether the lease of a process is over, by the database's clock."""
        node = self._server.database.nodes.get(process.store.cluster.epoch)
        return node is None or node.until < self._server.database.time()

    # For people

    def _note(self, text: str) -> None:
        self.events.append(f"{self._kernel.now:7.3f} {text}")

    def _name(self, process: Process) -> str:
        return f"P{process.seed}"


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
