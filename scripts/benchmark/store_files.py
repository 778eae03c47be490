"""Store files as many accepted requests would leave them, written by Latehook's own code: requests would take long."""

import random
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from msgspec.structs import replace
from processes import DEFAULT

from latehook.base.clock import Clock
from latehook.base.messages import Outcome, Request
from latehook.base.model import Content, Job, State
from latehook.base.redaction import Redaction
from latehook.engine.engine import Engine
from latehook.mocks.definitions import Mocks
from latehook.mocksfile.loading import load, restore
from latehook.store.sqlite import SqliteStore
from latehook.store.sqlite.checkpoints import checkpoint

JOBS_A_COMMIT = 10_000
"""Jobs that are written between two commits."""


async def fill(path: Path, mocks: Path, env: Mapping[str, str], dues: Sequence[float], ended: bool = False) -> None:
    """Write one job for each of `dues`, the times (Unix seconds) at which their webhooks are due.

    `ended`: the webhooks were delivered at these times.
    """
    store = SqliteStore(str(path))
    job, definition = await _accepted_job(mocks, env)
    store.add_definition(*definition)
    ids = sorted(str(uuid.uuid4()) for _ in dues)  # unsorted, each id would rewrite another page of the index
    for number, (id, due) in enumerate(zip(ids, dues, strict=True)):
        (key,) = store.add_job(_copy(job, id, due)).webhooks
        if ended:
            content = Content(job.webhooks[0].to or "", method="GET")
            store.add_attempt(key, 1, Outcome(due, due, 200), State.DELIVERED, due, content, due)
        if number % JOBS_A_COMMIT == 0:
            await store.commit()
    await store.commit()
    checkpoint(str(path))
    await store.close()


async def _accepted_job(mocks: Path, env: Mapping[str, str]) -> tuple[Job, tuple[str, bytes]]:
    """Return the job that the engine starts for the load generator's request, and its mock as the store keeps it."""
    store = SqliteStore()
    again = partial(restore, env=env, redaction=Redaction())
    engine = Engine(load([mocks], env), store, _NoSender(), Clock(), random.Random(), again, lambda *_: Mocks())
    url = urlsplit(DEFAULT.url)
    body = DEFAULT.body.encode()
    head = {"Host": url.netloc, "User-Agent": "bench", "Content-Type": "application/json", "Content-Length": len(body)}
    fields = tuple((name.encode(), str(value).encode()) for name, value in head.items())
    request = Request("POST", "http", url.netloc, 80, f"{url.path}?{url.query}", fields, body, len(body))
    decision = await engine.accept(request)
    assert decision.started is not None and decision.mock is not None
    await engine.close()
    return decision.started, (decision.mock.definition, decision.mock.excerpt)


def _copy(job: Job, id: str, due: float) -> Job:
    """Copy the job with other ids and another due time."""
    webhook = replace(job.webhooks[0], id=str(uuid.uuid4()), due=due)
    stages = tuple(replace(stage, due=due) for stage in job.stages)
    return replace(job, id=id, stages=stages, webhooks=(webhook,))


class _NoSender:
    """Sends nothing, because no webhook falls due."""

    def preload(self) -> None:
        pass

    async def send(self, outgoing: object, observer: object = None) -> Outcome:
        raise NotImplementedError

    async def close(self) -> None:
        pass
