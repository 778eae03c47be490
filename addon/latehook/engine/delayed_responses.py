"""Render the responses that have a delay, when it is over."""

import logging
from functools import partial

from msgspec.structs import replace

from latehook.base import logs
from latehook.base.errors import StoreError
from latehook.base.messages import Response
from latehook.delivery.ownership import Ownership
from latehook.engine.context import LiveContext
from latehook.mocks import error_responses, responding
from latehook.mocks.decisions import DelayedResponse
from latehook.mocks.definitions import Mock
from latehook.store.group_commit import GroupCommit
from latehook.store.protocol import Store

log = logging.getLogger(logs.LOGGER)


class DelayedResponses:
    """Renders responses whose delay is over. A job gets one response: requests that repeat it get the same."""

    def __init__(self, store: Store, commits: GroupCommit, context: LiveContext, ownership: Ownership) -> None:
        self._store = store
        self._commits = commits
        self._context = context
        self._ownership = ownership

    async def render(self, mock: Mock, delayed: DelayedResponse, started: int) -> Response:
        """Return a response, and write it if it is its job's. `started` is the key of a new job, or 0."""
        context = self._context
        try:
            stored = await self._store.job(started or (delayed.job.key if delayed.job is not None else 0))
            is_jobs_own = stored is not None and (delayed.starts or delayed.repeats)
            if stored is not None and stored.response is not None and is_jobs_own:  # a repeated request was faster
                return stored.response
            render = partial(responding.render_delayed, mock, delayed, stored or delayed.job)
            response = await context.decide(render)
            if stored is not None and is_jobs_own:
                if delayed.repeats:  # another process may have started the job
                    await self._ownership.take([stored.key])
                response = await self._write(stored.key, response)
            if self._commits.is_scheduled:  # it may also show what other requests of this turn have written
                await self._commits.committed()
        except StoreError as error:
            log.error("latehook: %s", error)
            return error_responses.failure(503, str(error), delayed.request, context.redaction)
        return response

    async def _write(self, key: int, response: Response) -> Response:
        """Write the response of a job, if the store still has it. Return the one that counts. Raises StoreError."""
        async with self._commits.change():
            stored = await self._store.job(key)
            if stored is not None and stored.response is not None:  # a repeated request was faster
                return stored.response
            if stored is not None:
                self._commits.schedule()
                self._store.update_job(replace(stored, response=response))
        return response
