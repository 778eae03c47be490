"""A store file as many accepted requests would leave it, written by Latehook's own code: requests would take long."""

import random
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from msgspec.structs import replace
from processes import DEFAULT

from latehook.base.clock import Clock
from latehook.base.model import Content, Job, Outcome, Request, State
from latehook.base.redaction import Redaction
from latehook.engine.engine import Engine
from latehook.mocksfile.loading import load, restore
from latehook.store import Store

AT_ONCE = 10_000
"""Jobs written between two commits."""


async def fill(path: Path, mocks: Path, env: Mapping[str, str], dues: Sequence[float], ended: bool = False) -> None:
    """Write one job for each time (Unix seconds) at which its webhook is due, or `ended`: was delivered."""
    store = Store(str(path))
    job, definition = await _accepted(mocks, env)
    store.add_definition(*definition)
    ids = sorted(str(uuid.uuid4()) for _ in dues)  # in chance order the index of ids would be written again and again
    for number, (id, due) in enumerate(zip(ids, dues, strict=True)):
        (key,) = store.add_job(_another(job, id, due))
        if ended:
            content = Content(job.webhooks[0].to or "", method="GET")
            store.add_attempt(key, 1, Outcome(due, due, 200), State.DELIVERED, due, content)
        if number % AT_ONCE == 0:
            store.commit()
    store.commit()
    store.checkpoint()
    store.close()


async def _accepted(mocks: Path, env: Mapping[str, str]) -> tuple[Job, tuple[str, bytes]]:
    """The job that the load generator's request starts, as the engine has it; and its mock as it was written."""
    store = Store()
    engine = Engine(
        load([mocks], env), store, _Nobody(), Clock(), random.Random(), lambda it: restore(it, env, Redaction())
    )
    url = urlsplit(DEFAULT.url)
    body = DEFAULT.body.encode()
    head = {"Host": url.netloc, "User-Agent": "bench", "Content-Type": "application/json", "Content-Length": len(body)}
    fields = tuple((name.encode(), str(value).encode()) for name, value in head.items())
    request = Request("POST", "http", url.netloc, 80, f"{url.path}?{url.query}", fields, body, len(body))
    answer = await engine.accept(request)
    assert answer.started is not None and answer.mock is not None
    await engine.close()
    return answer.started, (answer.mock.definition, answer.mock.excerpt)


def _another(job: Job, id: str, due: float) -> Job:
    """The same with ids of its own."""
    webhook = replace(job.webhooks[0], id=str(uuid.uuid4()), due=due)
    stages = tuple(replace(stage, due=due) for stage in job.stages)
    return replace(job, id=id, stages=stages, webhooks=(webhook,))


class _Nobody:
    """Sends nothing: no webhook falls due."""

    def preload(self) -> None:
        pass

    async def send(self, outgoing: object) -> Outcome:
        raise NotImplementedError

    async def close(self) -> None:
        pass
