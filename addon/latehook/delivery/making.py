"""Make attempts: what each one says, by the mock that started its job."""

from msgspec.structs import replace

from latehook.base.messages import WireTrace
from latehook.base.model import Moment, StoredWebhook
from latehook.delivery.attempts import DeliveryContext, RunningAttempt
from latehook.delivery.compiled_mocks import CompiledMocks
from latehook.mocks import rendering
from latehook.mocks.context import Context


class AttemptMaker:
    """Makes attempts. What they record of the wire is kept if they are `observed`."""

    def __init__(self, context: DeliveryContext, compiled_mocks: CompiledMocks) -> None:
        self.observed = False
        self._context = context
        self._compiled_mocks = compiled_mocks

    async def make(self, stored: StoredWebhook, now: float | None = None) -> RunningAttempt:
        """Make the next attempt at a webhook, at `now` of Latehook's clock, or at present. Raises LatehookError."""
        webhook = stored.webhook
        mock, spec = await self._compiled_mocks.webhook_spec(webhook.definition, webhook.mock_stage)

        def make(moment: Moment, context: Context) -> RunningAttempt:
            content, outgoing = rendering.prepare_attempt(spec, mock.constants, stored, moment, context)
            if self.observed:
                outgoing = replace(outgoing, wire=WireTrace())
            started_at, clock_at = moment.real_now, moment.of(stored.job).now
            keeps_answer = mock.reads_answers or self._context.keeps_answers
            return RunningAttempt(stored, content, spec.retry, started_at, clock_at, outgoing, keeps_answer)

        attempt = await self._context.decide(make, now)
        limit = None if spec.fault is None else spec.fault.count
        if attempt.outgoing.fault is None or await self._context.claim_fault(
            webhook.definition, limit, webhook.mock_stage
        ):
            return attempt
        return await self.make(stored, now)  # another process was faster: now the fault has happened often enough
