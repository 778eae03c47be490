"""Computes what is late: the status of a stage that is due, and what a webhook turns out to be when its turn comes."""

import logging

from msgspec.structs import replace

from latehook.base import logs
from latehook.base.errors import ExpressionError, LatehookError, StoreError
from latehook.base.json_text import LONE_SURROGATE
from latehook.base.model import Job, Moment, Stage, State, StoredWebhook, Webhook
from latehook.delivery.attempts import DeliveryContext
from latehook.delivery.compiled_mocks import CompiledMocks
from latehook.expressions.views import JobView
from latehook.mocks import jobs, rendering
from latehook.mocks.context import Context, scope_of
from latehook.mocks.stages import status_at

log = logging.getLogger(logs.LOGGER)


class LateValues:
    """Computes late statuses and webhooks by the mocks that describe them."""

    def __init__(self, context: DeliveryContext, compiled_mocks: CompiledMocks) -> None:
        self._context = context
        self._compiled_mocks = compiled_mocks

    async def reached(self, job: Job, number: int, due: float) -> Stage:
        """Return the stage with this index, reached at `due`, with its late status. An error leaves the one before.

        Raises StoreError.
        """
        open = job.stages[number].open
        assert open is not None and open.status is not None
        late = open.status

        def status(moment: Moment, context: Context) -> str | None:
            moment = moment.of(job)
            scope = scope_of(mock.constants, late.request or job.request, moment, context)
            scope["job"] = JobView(job, moment.now, number - 1, webhooks=context.webhooks)
            found = status_at(mock, late.mock_stage, scope)
            if found is not None and LONE_SURROGATE.search(found):
                raise ExpressionError(mock.place, "the status has half of a surrogate pair, which cannot be kept")
            return found

        try:
            mock = await self._compiled_mocks.mock(late.definition)
            return Stage(due, await self._context.decide(status))
        except StoreError:
            raise
        except LatehookError as error:
            log.warning("latehook: job %s: the status of a stage is left out: %s", job.id, error)
            return Stage(due, None, error=str(error))

    async def webhooks(self, stored: StoredWebhook) -> list[Webhook]:
        """Return what a late webhook turns out to be. An expression that fails makes it fail. Raises StoreError."""
        late = stored.webhook

        def found(moment: Moment, context: Context) -> list[Webhook]:
            scope = rendering.webhook_scope(mock.constants, stored, moment, context)
            return jobs.decided_webhooks(spec, late, scope, moment.of(stored.job))

        try:
            mock, spec = await self._compiled_mocks.webhook_spec(late.definition, late.mock_stage)
            return await self._context.decide(found)
        except StoreError:
            raise
        except LatehookError as error:
            return [failed(late, error)]


def failed(webhook: Webhook, error: Exception) -> Webhook:
    """Return a late webhook that cannot be decided."""
    return replace(webhook, late=False, state=State.FAILED, reason=str(error))
