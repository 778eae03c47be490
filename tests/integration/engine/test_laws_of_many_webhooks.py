"""Laws of jobs with many webhooks: whatever a tester does meanwhile, each webhook is decided once and sent once."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latehook.base.model import State, StoredWebhook
from latehook.control import serializers
from latehook.engine.filters import ALL
from support import virtual_time
from support.engine_setup import EngineSetup, load

FIRST, ITEMS, TIMES = "{{ request.json.first }}", "request.json.items", "{{ request.json.times }}"


@dataclass(frozen=True)
class StageSample:
    """A stage as a mocks file has it, without its webhook."""

    after: str
    each: str | None
    repeat: str | None
    has_status: bool

    def written(self, number: int, is_last: bool, has_end: bool) -> str:
        """Return the stage as YAML. It may wait for the end of `e0` if `has_end`: the job has this webhook before it."""
        after = self.after if has_end or not self.after.startswith("{ended") else "1s"
        keys = [f"after: {after}", f"webhook: {{event: e{number}, json: [{number}, {self._names}]}}"]
        keys += [f"status: s{number}"] if self.has_status else []
        keys += [f"each: {self.each}"] if self.each else []
        if self.repeat:
            times = f", times: {self.repeat}" if self.repeat != "until" or is_last else ""
            keys.append(f"repeat: {{every: 3s{times.replace('until', '2')}}}")
        return "{" + ", ".join(keys) + "}"

    @property
    def _names(self) -> str:
        return "'{{ index }}', '{{ item }}'" if self.each else "'{{ index }}'" if self.repeat else "null"


STAGES = st.lists(
    st.builds(
        StageSample,
        st.sampled_from(["0s", "20s", f"'{FIRST}'", "{uniform: [1s, 9s]}", "{ended: e0, plus: 2s}"]),
        st.sampled_from([None, ITEMS, "[a, {b: 1.50}]"]),
        st.sampled_from([None, "3", f"'{TIMES}'", "until"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)
DOCUMENTS = st.fixed_dictionaries(
    {"first": st.integers(0, 30), "items": st.lists(st.integers(), max_size=3), "times": st.integers(0, 4)}
)
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["sleep", "advance", "advance job", "hold", "release", "hold one", "cancel", "fire", "restart"]
        ),
        st.integers(0, 12),
    ),
    max_size=6,
)


@given(STAGES, DOCUMENTS, OPERATIONS)
@settings(max_examples=25, deadline=None)
def test_each_webhook_is_known_from_the_request_on_and_sent_once(
    tmp_path_factory: pytest.TempPathFactory, stages: list[StageSample], document: Any, operations: list[Any]
) -> None:
    has_end = stages[0].each != ITEMS and stages[0].repeat != f"'{TIMES}'"
    is_open = [has_end and number > 0 and stage.after.startswith("{ended") for number, stage in enumerate(stages)]
    written = [
        stage.written(number, number == len(stages) - 1 or any(is_open[: number + 2]), has_end and number > 0)
        for number, stage in enumerate(stages)
    ]
    mocks = f"""
mocks:
  - match: POST api.slow.example/jobs
    job: {{id: a}}
    webhook: {{to: "http://app.test/"}}
    stages: [{", ".join(written)}]
"""
    folder = tmp_path_factory.mktemp("law")
    virtual_time.run(_Run(mocks, folder, document).check(operations))


class _Run:
    """An engine that is started again and again on the same store."""

    def __init__(self, mocks: str, folder: Path, document: Any) -> None:
        self._mocks = mocks
        self._folder = folder
        self._document = document
        self._sent: Counter[str] = Counter()

    async def check(self, operations: list[Any]) -> None:
        await self._start()
        await self.setup.post()
        owed = {one.webhook.id: _fixed(one) for one in await self.setup.store.webhooks()}
        assert len(owed) <= 1000
        for name, number in operations:
            await self._operate(name, number)
        await self.setup.operations.release()
        await self.setup.operations.advance("1h")
        await asyncio.sleep(1)

        webhooks = await self.setup.store.webhooks()
        assert {one.webhook.id: _fixed(one) for one in webhooks} == owed
        assert {one.webhook.state for one in webhooks} <= {State.DELIVERED, State.CANCELED}
        delivered = [one for one in webhooks if one.webhook.state is State.DELIVERED]
        self._count_sent()
        assert self._sent == Counter(one.content.body.decode() for one in delivered if one.content)
        assert all(one.attempts == 1 for one in delivered)
        [job] = [each async for batch in self.setup.operations.queries.job_batches(ALL) for each in batch]
        shown = serializers.job(job, self.setup.clock)
        assert shown.ended
        assert [stage.due_at for stage in shown.stages] == sorted(stage.due_at for stage in shown.stages)
        await self.setup.engine.close()

    async def _start(self) -> None:
        path = str(self._folder / "store.db")
        self.setup = EngineSetup(load(self._mocks, self._folder), path=path, document=self._document)
        self.setup.machine_clock.offset = virtual_time.NOON
        await self.setup.engine.resume(1.0)

    def _count_sent(self) -> None:
        self._sent += Counter(outgoing.body.decode() for _, outgoing in self.setup.sender.sent)

    async def _operate(self, name: str, number: int) -> None:
        operations, store = self.setup.operations, self.setup.store
        unfinished = await store.webhooks(states=[State.PENDING, State.HELD])
        one = unfinished[number % len(unfinished)].webhook.id if unfinished else None
        if name == "sleep":
            await asyncio.sleep(number)
        elif name.startswith("advance"):
            await operations.advance(number, "a" if name == "advance job" else None)
        elif name in ("hold", "release"):
            await getattr(operations, name)()
        elif name == "restart":
            await self.setup.engine.close()
            self._count_sent()
            await self._start()
        elif one is not None:
            await getattr(operations, name.partition(" ")[0])(one)
            await asyncio.sleep(0.1)


def _fixed(stored: StoredWebhook) -> str:
    """Return what of a webhook is decided at the request."""
    one = stored.webhook
    return json.dumps([one.to, one.event, one.index, repr(one.item), one.stage, one.mock_stage])
