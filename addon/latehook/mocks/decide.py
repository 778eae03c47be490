"""PURE: the functional core. Mocks, a request, a moment and the jobs so far go in; a decision comes out.

When a request is decided, all stages and webhooks of its job are made: their times, their statuses, and where the
webhooks go. What a webhook says is rendered later, at its first attempt. What reads the answers of earlier webhooks
stays open, as do times after the end of one: see `mocks/open_stages.py` and `delivery/decisions.py`.
"""

from typing import Any

from msgspec.structs import replace

from latehook.base.errors import ExpressionError
from latehook.base.messages import Request
from latehook.base.model import Job, Moment, reached_stages
from latehook.expressions.expression import render
from latehook.expressions.values import to_text
from latehook.expressions.views import JobView, RequestView
from latehook.mocks import error_responses, jobs
from latehook.mocks.context import Context, scope_of
from latehook.mocks.decisions import Decision, DelayedResponse
from latehook.mocks.definitions import Mock, Mocks, ResponseSpec
from latehook.mocks.fields import require_map
from latehook.mocks.near_misses import Difference, NearMiss, Step, closest, difference
from latehook.mocks.rendering import render_response
from latehook.mocks.responding import first_that_holds, with_fault
from latehook.mocks.stages import plan_stages
from latehook.mocks.times import seconds_of


def decide(mocks: Mocks, request: Request, moment: Moment, context: Context) -> Decision:
    """Return what a request gets; `moment` is when the request ended.

    The first mock answers that matches, has `times` left, finds its job, and whose `when` holds. Nothing that a request
    holds raises an error: an expression that fails gives a 500 without a job.
    """
    without_job: list[NearMiss] = []
    for mock, captures in mocks.candidates(request):
        if _is_used_up(mock, context):
            continue
        captured = replace(request, captures=tuple(captures.items())) if captures else request
        try:
            decision = _Candidate(mock, captured, moment, context).decide()
        except _NoJob as error:
            without_job.append(_near_miss(mock, Difference(Step.LOOKUP, f"there is no job {str(error)!r}")))
        except ExpressionError as error:
            return Decision(error_responses.failure(500, str(error), request, context.redaction), mock)
        else:
            if decision is not None:
                return decision
    if without_job:
        response = error_responses.failure(404, without_job[-1].differs, request, context.redaction)
        return Decision(response, near_misses=without_job)
    nearest = closest(request, [_near_miss(mock, _difference(mock, request, context)) for mock in mocks.all])
    return Decision(error_responses.unmatched(request, nearest, context.redaction), near_misses=nearest)


def forwards_at_once(mocks: Mocks, request: Request) -> Decision | None:
    """Return the decision to forward a request, where its head alone decides it; None where its body is needed."""
    for mock, _ in mocks.candidates(request):
        is_certain = mock.response is None and mock.when is None and mock.times is None
        return Decision(None, mock) if is_certain else None
    return None


class _NoJob(Exception):
    """A lookup found no job with this id."""


class _Candidate:
    """A mock whose `match` fits a request. `scope` is what its expressions see; the job in it grows step by step.

    After a lookup, `moment` and `now` are by the clock of the job that was found.
    """

    def __init__(self, mock: Mock, request: Request, moment: Moment, context: Context) -> None:
        self.mock = mock
        self.request = request
        self.moment = moment
        self.context = context
        self.scope: dict[str, Any] = scope_of(mock.constants, request, moment, context)
        self.is_implicit_head = mock.matcher.is_implicit_head(request.method)

    def decide(self) -> Decision | None:
        """Return the mock's decision, or None where its `when` is false. Raises _NoJob, ExpressionError."""
        mock = self.mock
        job = None if mock.lookup is None else self._look_up()
        if mock.when is not None and not render(mock.when, self.scope):
            return None
        if mock.response is None:
            return Decision(None, mock)
        if mock.validation is None:
            return self._answer(job)
        problems = mock.validation.problems(self.request)
        if problems and mock.validation.refuses:
            refusal = mock.validation.refusal() or error_responses.failure(
                400, "the request does not fit the document", self.request, self.context.redaction, problems=problems
            )
            return Decision(refusal, mock, problems=problems)
        return replace(self._answer(job), problems=problems)

    def _answer(self, job: Job | None) -> Decision:
        """Return what the mock answers; `job` is the job that it has looked up."""
        mock = self.mock
        if job is not None:
            decision = self._answer_for(job)
        elif mock.starts_job:
            decision = self._start_job()
        else:
            decision = self._respond()
        is_open = decision.delayed is not None and decision.delayed.number is None
        return decision if is_open else with_fault(decision, mock, self.moment, self.context)

    def _look_up(self) -> Job:
        id = to_text(render(self.mock.lookup, self.scope))
        job = self.context.find_job(id)
        if job is None:
            raise _NoJob(id)
        self.moment = self.moment.of(job)
        self.scope["now"] = self.moment.now
        self.scope["job"] = self._view(job)
        return job

    def _view(self, job: Job, request: RequestView | None = None) -> JobView:
        return JobView(job, self.moment.now, request=request, webhooks=self.context.webhooks)

    def _respond(self, job: Job | None = None, starts: bool = False, repeats: bool = False) -> Decision:
        """Return the decision to give a response of the mock, and nothing more.

        A response with a delay is rendered later, as is one that shows what comes of the webhooks before it. One of
        several is chosen now, or after these webhooks. `job` is the job that its expressions see; `starts` and
        `repeats` are as in `DelayedResponse`.
        """
        mock, job_id = self.mock, None if job is None or starts else job.id
        number = self._number(job, repeats)
        spec = mock.response_number(number or 0)
        if number is not None and spec.delay is None and not repeats and not self._is_late(spec):
            response = render_response(spec, self.scope, self.moment)
            return Decision(response, mock, job_id=job_id, chosen=number, rejects=spec.rejects)
        seed = self.moment.random.getrandbits(64)
        delayed = DelayedResponse(self.request, seed, job, starts, repeats, number)
        if number is None:
            return Decision(None, mock, job_id=job_id, delayed=delayed)
        delay = self._delay(spec)
        return Decision(None, mock, delay=delay, job_id=job_id, delayed=delayed, chosen=number, rejects=spec.rejects)

    def _number(self, job: Job | None, repeats: bool) -> int | None:
        """Return the number of the response to give; None where it is chosen after the webhooks before it."""
        mock = self.mock
        if not mock.choices:
            return 0
        if job is not None and repeats:
            return job.chosen
        if job is not None and mock.chooses_late and not self.is_implicit_head:
            return None
        return first_that_holds(mock, self.scope)

    def _is_late(self, spec: ResponseSpec) -> bool:
        """Return whether a response shows what the webhooks before it were answered."""
        if not self.mock.reads_answers:
            return False
        before = [stage for stage in self.mock.stages if stage.after is None]
        return bool(before) and (spec.reads_answers or any(stage.is_status_late for stage in before))

    def _delay(self, spec: ResponseSpec) -> float:
        return 0.0 if spec.delay is None else seconds_of(spec.delay, self.scope, self.moment.random)

    def _start_job(self) -> Decision:
        """Return the decision to start a job, or to repeat a response, for an idempotency key that was used before."""
        mock, moment, scope = self.mock, self.moment, self.scope
        key = jobs.idempotency_key(mock, scope)
        if key is not None and (earlier := self.context.job_for_idempotency_key(mock.name, key)) is not None:
            return self._repeat(earlier)
        job = Job(
            id=jobs.job_id(mock, scope, moment),
            mock=mock.name,
            created_at=moment.now,
            request=self.request,
            idempotency_key=key,
            received_at=moment.real_now,
            distinction=mock.distinction,
        )
        request_view = scope["request"]
        if mock.job is not None:
            scope["job"] = JobView(job, moment.now, request=request_view)
            job = replace(job, vars=dict(require_map(render(mock.job.vars, scope), mock.job.place, "job.vars")))
        scope["job"] = JobView(job, moment.now, request=request_view)
        planned = plan_stages(mock, scope, moment)
        job = replace(job, stages=tuple([each.stage for each in planned]))
        webhooks = jobs.webhooks(mock, job, planned, scope, moment)
        if not mock.has_plain_stages:
            jobs.check_awaited(mock, job, planned, webhooks, ())
        scope["job"] = self._view(job, request_view)
        decision = self._respond(job, starts=True)
        if self.is_implicit_head or decision.rejects:
            return decision
        kept_request = jobs.kept_request(self.request, mock.kept_members)  # expressions above may read the whole body
        chosen = decision.chosen if decision.delayed is None else decision.delayed.number
        job = replace(job, request=kept_request, webhooks=webhooks, response=decision.response, chosen=chosen)
        if chosen is None and mock.rejects:
            job = replace(job, undecided=True)
        return replace(decision, started=job, job_id=job.id)

    def _repeat(self, earlier: Job) -> Decision:
        """Return the decision to give the response of an earlier job, or to wait for it."""
        self.scope["job"] = JobView(earlier, self.moment.of(earlier).now, webhooks=self.context.webhooks)
        if earlier.response is None:
            return self._respond(earlier, repeats=True)
        chosen = earlier.chosen or 0
        spec = self.mock.response_number(chosen)
        delay = 0.0 if spec.until is not None else self._delay(spec)
        return Decision(earlier.response, self.mock, delay=delay, job_id=earlier.id, chosen=chosen)

    def _answer_for(self, job: Job) -> Decision:
        """Return the decision to answer for a job. The mock's own stages replace those that the job has not reached."""
        mock, moment, scope = self.mock, self.moment, self.scope
        if not mock.stages:
            return self._respond(job)
        reached = tuple(reached_stages(job.stages, moment.now))
        kept_request = jobs.kept_request(self.request, mock.kept_members)
        planned = plan_stages(mock, scope, moment, kept_request)
        job = replace(job, stages=(*reached, *[each.stage for each in planned]))
        webhooks = jobs.webhooks(mock, job, planned, scope, moment)
        if job.is_open:
            jobs.check_awaited(mock, job, planned, webhooks, self.context.webhooks(job))
        scope["job"] = self._view(job)
        decision = replace(self._respond(job), kept_stages=len(reached))
        if self.is_implicit_head:
            return decision
        webhooks = tuple(replace(webhook, request=kept_request) for webhook in webhooks)
        return replace(decision, changed=replace(job, webhooks=webhooks))


def _is_used_up(mock: Mock, context: Context) -> bool:
    return mock.times is not None and context.answer_count(mock.definition) >= mock.times


def _near_miss(mock: Mock, differs: Difference) -> NearMiss:
    return NearMiss(mock.name, mock.place.line_of_file, mock.matcher.path, differs.step, differs.words)


def _difference(mock: Mock, request: Request, context: Context) -> Difference:
    """Return the first thing in which a request differs from what a mock answers."""
    found = difference(mock.matcher, request)
    if found is not None:
        return found
    if _is_used_up(mock, context):
        return Difference(Step.TIMES, f"times is {mock.times}, and it has answered so many requests")
    return Difference(Step.WHEN, f"when is false: {mock.when_text}")
