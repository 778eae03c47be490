"""What must hold in every history, and what was seen of it."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from support.simulation.database import Database
from support.simulation.kernel import NEVER, Kernel
from support.simulation.process import Interval, Process, overlaps
from support.simulation.tables import Webhook


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


class Invariants:
    """What was seen in a history. `fail` is called with a Broken: the code that is running may catch exceptions."""

    def __init__(self, kernel: Kernel, database: Database, fail: Callable[[BaseException], None]) -> None:
        self.sends: dict[str, dict[int, list[Send]]] = defaultdict(lambda: defaultdict(list))
        """The attempts at each job's webhooks, by their stage."""
        self.answered: dict[str, str] = {}
        """The jobs that were answered, with the idempotency keys of their requests."""
        self.held_since = NEVER
        """When a hold has returned; NEVER where none counts."""
        self.limited = 0
        """Requests that a mock has answered which answers some."""
        self.closed: set[str] = set()
        """The hosts whose mocks were added, after that has returned."""
        self.forgotten: set[str] = set()
        """The jobs that a reset has forgotten that has returned."""
        self.reset_intervals: list[Interval] = []
        """When there were resets: a process that applies one breaks off its attempts."""
        self._begun: dict[tuple[int, str, int, int], float] = {}
        self._kernel = kernel
        self._database = database
        self._fail = fail
        database.on_begun = self._on_begun
        database.on_attempt = self._on_attempt

    def break_off(self, text: str) -> None:
        """End the history: an invariant does not hold."""
        self._fail(Broken(text))

    def _on_begun(self, me: int, webhook: Webhook, number: int) -> None:
        """Check an attempt that begins in the database."""
        database = self._database
        if webhook.begun not in (None, me) and webhook.begun in database.nodes:
            self.break_off(f"two processes begin attempt {number} at webhook {webhook.key}")
        if me not in database.nodes:
            self.break_off(f"a process that was declared dead begins attempt {number} at webhook {webhook.key}")
        self._begun[me, self._job_of(webhook), webhook.stage, number] = self._kernel.now
        if self.held_since <= self._kernel.now:
            self.break_off(f"attempt {number} at webhook {webhook.key} begins after a hold has returned")

    def _on_attempt(self, me: int, webhook: Webhook, number: int) -> None:
        for send in self.sends[self._job_of(webhook)][webhook.stage]:
            if send.number == number and send.process.store.cluster.epoch == me:
                send.kept = min(send.kept, self._kernel.now)

    def _job_of(self, webhook: Webhook) -> str:
        job = self._database.jobs.get(webhook.job)
        return "" if job is None else job.id

    def sent(self, process: Process, job: str, stage: int, number: int) -> Send:
        """Note an attempt, and check it, when it leaves."""
        begun = self._begun.pop((process.store.cluster.epoch, job, stage, number), self._kernel.now)
        send = Send(process, number, begun, self._kernel.now)
        self.sends[job][stage].append(send)
        if self.is_over(process):
            self.break_off(f"{process.name} sends {job}/{stage} though its lease is over")
        is_cut = process.had_fault(send.begun, send.start)
        if job in self.forgotten and not is_cut:
            self.break_off(f"{process.name} sends {job}/{stage}, which a reset has forgotten")
        if self.held_since < self._kernel.now and not is_cut:
            self.break_off(f"{process.name} sends {job}/{stage} after a hold has returned")
        if stage > 0 and send.number == 1 and len(self.sends[job][stage]) == 1:
            earlier = self.sends[job][stage - 1]
            if not any(
                each.end <= self._kernel.now or each.process.had_fault(each.start, self._kernel.now) for each in earlier
            ):
                self.break_off(f"{job}/{stage} is sent before the first attempt of the stage before it has ended")
        for before in self.sends[job][stage][:-1]:
            is_again = before.number >= send.number or before.status == 200
            if is_again and not self._was_disturbed(before) and not process.had_fault(send.begun, send.start):
                self.break_off(f"{job}/{stage} is sent again, though no fault has cut its attempt {before.number}")
        return send

    def _was_disturbed(self, send: Send) -> bool:
        """Return whether a fault may have cut an attempt, or what was written about it."""
        until = min(send.kept, self._kernel.now)
        return send.process.had_fault(send.begun, until) or overlaps(self.reset_intervals, send.begun, until)

    def check_hosts(self, process: Process) -> None:
        """Check that a process lets no host out whose mocks were added."""
        for host in self.closed:
            if process.lets_out(host) and not process.was_alone:
                self.break_off(f"{process.name} lets {host} out, whose mocks were added")

    def check_end(self) -> None:
        """Check that everything that was answered has been received. Raises Broken."""
        lost = [
            f"{job}/{stage}" for job in sorted(self.answered) for stage in (0, 1) if not self._is_received(job, stage)
        ]
        if lost:
            raise Broken(f"never delivered: {', '.join(lost)}")

    def _is_received(self, job: str, stage: int) -> bool:
        return any(send.status == 200 for send in self.sends[job][stage])

    @property
    def is_done(self) -> bool:
        """Whether everything that was answered has been received."""
        return all(self._is_received(job, stage) for job in self.answered for stage in (0, 1))

    def is_over(self, process: Process) -> bool:
        """Return whether the lease of a process is over, by the database's clock."""
        node = self._database.nodes.get(process.store.cluster.epoch)
        return node is None or node.until < self._database.time()
