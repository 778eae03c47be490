"""Operations of one process on jobs that another one has accepted, over one PostgreSQL schema."""

import asyncio
import json
from pathlib import Path

import pytest

from latehook.base.errors import NotFound
from latehook.base.model import State
from latehook.engine.filters import Filter
from support.limits import LIMIT
from support.postgres import PostgresServer
from support.processes import Process, answer, processes, times_sent
from support.waiting import until

pytest.importorskip("asyncpg")

MOCKS = """
mocks:
  - match: POST api.slow.example/jobs
    response: {json: {id: "{{ job.id }}"}}
    webhook: {to: "http://app.test/", event: done, text: "{{ job.id }}", after: "{{ request.json.after or '1h' }}"}
  - match: POST api.slow.example/timed
    response: {json: {id: "{{ job.id }}"}}
    webhook:
      to: "http://app.test/"
      text: "{{ job.id }} at {{ ((now - job.created_at) / 60) | round(2) }}"
      after: "{{ request.json.after }}"
  - match: POST api.slow.example/chains
    response: {json: {id: "{{ job.id }}"}}
    stages:
      - {after: 1h, status: first, webhook: {to: "http://app.test/", event: first, text: "1 {{ job.id }}"}}
      - after: {ended: first, plus: 100ms}
        status: second
        webhook: {to: "http://app.test/", event: second, text: "2 {{ job.id }}"}
"""


async def webhook_of(process: Process, job: str) -> tuple[str, State]:
    """Return the id and the state of a job's only webhook, as a process sees it."""
    found = await process.operations.queries.job(job)
    [details] = (await process.operations.queries.job_details([found]))[0].webhooks
    return details.stored.webhook.id, details.stored.webhook.state


async def is_in(process: Process, job: str, state: State) -> bool:
    return (await webhook_of(process, job))[1] is state


async def test_each_process_operates_on_all_webhooks(postgres_server: PostgresServer, tmp_path: Path) -> None:
    async with processes(postgres_server, "operations", MOCKS, tmp_path, lease=3.0) as (theirs, ours):
        fired, waiting, resent = [(await theirs.post())[1]["id"] for _ in range(3)]
        await ours.operations.fire((await webhook_of(ours, fired))[0])
        await until(lambda: is_in(theirs, fired, State.DELIVERED))
        assert ours.sent == [fired]

        await theirs.operations.fire((await webhook_of(theirs, resent))[0])
        await until(lambda: is_in(ours, resent, State.DELIVERED))
        assert await ours.operations.resend((await webhook_of(ours, resent))[0]) == [
            (await webhook_of(ours, resent))[0]
        ]
        await until(lambda: ours.sent == [fired, resent])
        assert theirs.sent == [resent]

        soon = [(await theirs.post(after="400ms"))[1]["id"] for _ in range(3)]
        await ours.operations.hold((await webhook_of(ours, soon[0]))[0])
        await ours.operations.cancel((await webhook_of(ours, soon[1]))[0])
        await until(lambda: is_in(ours, soon[2], State.DELIVERED))
        assert theirs.sent == [resent, soon[2]]
        await ours.operations.release((await webhook_of(ours, soon[0]))[0])
        await until(lambda: is_in(theirs, soon[0], State.DELIVERED))
        assert ours.sent == [fired, resent, soon[0]]

        await ours.operations.hold()
        assert theirs.operations.holding
        late = (await theirs.post(after="1ms"))[1]["id"]
        await until(lambda: is_in(ours, late, State.HELD))
        assert len(await ours.operations.release()) == 2
        await until(lambda: is_in(ours, late, State.DELIVERED))
        assert late in theirs.sent  # the end of the hold leaves jobs where they are
        assert [(await webhook_of(process, waiting))[1] for process in (ours, theirs)] == [State.PENDING] * 2


async def test_what_follows_in_a_job_is_decided_by_the_process_that_has_taken_it(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    async with processes(postgres_server, "chains", MOCKS, tmp_path, lease=3.0) as (theirs, ours):
        id = answer(await theirs.request("POST", "/chains", b"{}"))[1]["id"]
        job = await ours.operations.queries.job(id)
        first = (await ours.operations.queries.job_details([job]))[0].webhooks[0].stored.webhook.id
        ours.sender.takes = 0.3
        await ours.operations.fire(first)

        async def is_delivering() -> bool:
            webhooks = (await theirs.operations.queries.job_details([job]))[0].webhooks
            return webhooks[0].stored.webhook.state is State.DELIVERING

        await until(is_delivering)
        counts = await theirs.operations.queries.count_webhooks()
        assert (counts[State.DELIVERING], counts[State.PENDING]) == (1, 1)
        # the other process takes the job while the attempt is under way here
        await theirs.engine.ownership.take([job.key])
        await until(lambda: theirs.sent)
        assert (ours.sent, theirs.sent) == ([f"1 {id}"], [f"2 {id}"])


async def test_a_job_that_is_forgotten_elsewhere_breaks_off_its_attempt(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    async with processes(postgres_server, "forgotten", MOCKS, tmp_path, lease=60.0) as (theirs, ours):
        theirs.sender.takes = 3600.0
        job = (await theirs.post(after="1ms"))[1]["id"]
        await until(lambda: is_in(ours, job, State.DELIVERING))
        filter = ours.operations.queries.parse_filter({"job": job})
        assert isinstance(filter, Filter)
        assert await asyncio.wait_for(ours.operations.reset(filter), LIMIT) == [job]
        assert not theirs.engine.progress.running
        with pytest.raises(NotFound):
            await theirs.operations.queries.job(job)


async def test_an_advance_runs_what_all_processes_owe_in_order(postgres_server: PostgresServer, tmp_path: Path) -> None:
    async with processes(postgres_server, "advanced", MOCKS, tmp_path, 3, lease=3.0) as made:
        expected: list[tuple[int, str]] = []
        for number in range(60):
            minutes = 1 + number * 7 % 60
            request = json.dumps({"after": f"{minutes}m"}).encode()
            _, body = answer(await made[number % 3].request("POST", "/timed", request))
            expected.append((minutes, f"{body['id']} at {minutes}.0"))
        kept = (await made[2].post(after="3h"))[1]["id"]
        made[0].sender.takes = 0.3
        under_way = (await made[0].post(after="1ms"))[1]["id"]
        await until(lambda: made[0].sent)

        before = made[2].operations.clock.now()
        both = asyncio.gather(made[1].operations.advance("1h"), made[2].operations.advance("1h"))
        assert await asyncio.wait_for(both, LIMIT) == [[], []]
        clocks = [process.operations.clock.now() - before for process in made]
        assert max(clocks) - min(clocks) < 0.5 and min(clocks) >= 7200

        sent = [*made[1].sent, *made[2].sent]
        assert made[0].sent == [under_way]
        assert sent == [body for _, body in sorted(expected, key=lambda one: one[0])]
        assert max(times_sent(made).values()) == 1
        assert len({bool(process.sent) for process in made[1:]}) == 2  # the first advance has sent everything
        assert (await webhook_of(made[0], kept))[1] is State.PENDING
        await made[0].operations.advance("1h")
        assert made[0].sent == [under_way, kept]
