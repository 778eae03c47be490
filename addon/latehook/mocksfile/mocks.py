"""One entry of a mocks file compiled: its texts to expressions, its keys to plans, each with its place."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from latehook.base.durations import Delay
from latehook.base.model import COMPLETED, ResponseFault
from latehook.expressions.compiler import Compiler
from latehook.expressions.expression import Names
from latehook.expressions.names import AT_REQUEST, JOB, WEBHOOK
from latehook.mocks import matching
from latehook.mocks.definitions import JobSpec, Mock, ResponseSpec, StageSpec
from latehook.mocksfile.entries import JobEntry, MockEntry, ResponseEntry, WebhookEntry
from latehook.mocksfile.source import Path as At
from latehook.mocksfile.source import Source
from latehook.mocksfile.values import Values
from latehook.mocksfile.webhooks import Layer, WebhookCompiler, pick

BEFORE_RESPONSE = "before-response"
FORWARD_ALONE = "`response: forward` stands alone: a forwarded request starts no job"


class MockCompiler:
    """Compiles one mock."""

    def __init__(
        self,
        source: Source,
        compiler: Compiler,
        defaults: WebhookEntry,
        entry: MockEntry,
        at: int,
        names: Names,
        job_vars: Names | None,
    ) -> None:
        self._source = source
        self._compiler = compiler
        self._values = Values(source, compiler)
        self._defaults: Layer = (("defaults", "webhook"), defaults)
        self._entry = entry
        self._at = at
        self._path: At = ("mocks", at)
        self._matcher = self._match()
        self._at_request: Names = {**AT_REQUEST, **names, "request": self._request_names()}
        self._with_job: Names = {**self._at_request, "job": {**JOB["job"], "vars": self._vars_names(job_vars)}}
        self._webhooks = WebhookCompiler(self._values, self._with_job, {**self._with_job, **WEBHOOK})

    @property
    def reads(self) -> frozenset[str]:
        """The members of `request` that need its body and are read, once it has compiled."""
        return self._values.reads

    @property
    def later(self) -> frozenset[str]:
        """Those of a request that started a job, read when the job is asked for again."""
        return self._values.later

    def compile(self) -> Mock:
        """The mock. MocksError for the first thing that is wrong."""
        entry = self._entry
        starts = entry.lookup is UNSET and any(key is not UNSET for key in (entry.job, entry.webhook, entry.stages))
        names = self._with_job if starts or entry.lookup is not UNSET else self._at_request
        matcher = self._matcher
        written = self._source.excerpt(self._at)
        self._check_keys()
        response = None if isinstance(entry.response, str) else self._response(entry.response, names)
        stages = self._stages()
        job = None if entry.job is UNSET else self._job(entry.job)
        return Mock(
            matcher=matcher,
            definition=_fingerprint(written, *self._values.files),
            name=matcher.text if entry.name is UNSET else str(self._values.constant(entry.name, (*self._path, "name"))),
            place=self._values.place(self._path),
            written=written,
            constants=self._compiler.scope(),
            response=response,
            when=self._values.when(entry.when, (*self._path, "when"), names if not starts else self._at_request),
            when_text=str(entry.when) if entry.when is not UNSET else "",
            times=self._times(),
            lookup=self._lookup(),
            job=job,
            stages=stages,
            kept_members=frozenset().union(*(stage.webhook.reads for stage in stages if stage.webhook is not None)),
        )

    def _check_keys(self) -> None:
        entry = self._entry
        if entry.response == "forward":
            for key in ("job", "webhook", "stages", "lookup"):
                if getattr(entry, key) is not UNSET:
                    raise self._values.error((*self._path, key), FORWARD_ALONE)
        if entry.lookup is not UNSET and entry.job is not UNSET:
            raise self._values.error(
                (*self._path, "job"), "a mock with `lookup` answers for a job that exists: leave `job` out"
            )

    def _request_names(self) -> Names:
        """`request.path` has what the match captures, and nothing else."""
        return {**AT_REQUEST["request"], "path": dict.fromkeys(self._matcher.captures)}

    def _vars_names(self, any_job: Names | None) -> Names | None:
        job = self._entry.job
        if self._entry.lookup is not UNSET:
            return any_job
        if not isinstance(job, JobEntry):
            return {}
        return None if isinstance(job.vars, str) else dict.fromkeys(job.vars)

    # The mock's own keys

    def _match(self) -> matching.Matcher:
        at: At = (*self._path, "match")
        try:
            return matching.parse(str(self._values.constant(self._entry.match, at)))
        except ValueError as error:
            raise self._values.error(at, str(error)) from None

    def _times(self) -> int | None:
        if self._entry.times is UNSET:
            return None
        times = self._values.constant(self._entry.times, (*self._path, "times"))
        if isinstance(times, str) and times.isdigit():
            times = int(times)
        if not isinstance(times, int) or isinstance(times, bool) or times < 1:
            raise self._values.error((*self._path, "times"), f"{times!r} is not a number of requests: write 1 or more")
        return times

    def _lookup(self) -> Any:
        if self._entry.lookup is UNSET:
            return None
        return self._values.condition(self._entry.lookup, (*self._path, "lookup"), self._at_request)

    def _job(self, entry: Any) -> JobSpec:
        at: At = (*self._path, "job")
        id = None if entry.id is UNSET else self._values.compile(entry.id, (*at, "id"), self._at_request)
        return JobSpec(
            id=id,
            vars=self._values.map(entry.vars, (*at, "vars"), self._with_job),
            idempotency_key=self._values.condition(entry.idempotency_key, (*at, "idempotency_key"), self._at_request),
            place=self._values.place(at),
        )

    def _response(self, entry: ResponseEntry, names: Names) -> ResponseSpec:
        at: At = (*self._path, "response")
        status = self._values.compile(entry.status, (*at, "status"), names)
        if not callable(status) and not (re.fullmatch(r"[2-5]\d\d", str(status))):
            raise self._values.error((*at, "status"), f"{status!r} is not a status: write a number from 200 to 599")
        return ResponseSpec(
            status=status,
            headers=self._values.headers([((*at, "headers"), entry.headers)], names),
            body=self._values.body([(at, entry)], names),
            delay=None if entry.delay is UNSET else self._values.delay(entry.delay, (*at, "delay")),
            fault=self._values.fault(entry.fault, (*at, "fault"), ResponseFault, "response"),
            place=self._values.place(at),
        )

    # Stages and webhooks

    def _stages(self) -> tuple[StageSpec, ...]:
        entry = self._entry
        base: list[Layer] = [self._defaults]
        if isinstance(entry.webhook, WebhookEntry):
            base.append(((*self._path, "webhook"), entry.webhook))
        if entry.stages is UNSET:
            return (self._only_stage(base),) if len(base) > 1 else ()
        stages = [(stage, (*self._path, "stages", at)) for at, stage in enumerate(entry.stages)]
        if not stages:
            raise self._values.error(
                (*self._path, "stages"), "there are no stages here: write at least one, or leave it out"
            )
        if len(base) > 1 and not any(stage.webhook for stage, _ in stages):
            raise self._values.error(
                (*self._path, "webhook"), "no stage sends this webhook: write `webhook: true` in one"
            )
        if len(base) > 1 and base[1][1].after is not UNSET:
            raise self._values.error((*self._path, "webhook", "after"), "with `stages` each stage has its own `after`")
        for (stage, at), (before, _) in zip(stages[1:], stages, strict=False):
            if stage.after == BEFORE_RESPONSE != before.after:
                raise self._values.error((*at, "after"), "a stage before the response cannot come after one behind it")
        return tuple(self._stage(stage, at, base) for stage, at in stages)

    def _only_stage(self, layers: Sequence[Layer]) -> StageSpec:
        """`webhook` alone is one stage that completes the job."""
        at, after = pick(layers, "after", 0)
        return StageSpec(self._after(after, at), COMPLETED, self._webhooks.compile(layers))

    def _stage(self, stage: Any, at: At, base: Sequence[Layer]) -> StageSpec:
        webhook = None
        if isinstance(stage.webhook, WebhookEntry):
            if stage.webhook.after is not UNSET:
                raise self._values.error((*at, "webhook", "after"), "the stage has its own `after`: write it there")
            webhook = self._webhooks.compile([*base, ((*at, "webhook"), stage.webhook)])
        elif stage.webhook:
            if len(base) == 1 and self._defaults[1].to is UNSET:
                raise self._values.error((*at, "webhook"), "`true` means the mock's own `webhook`, and it has none")
            webhook = self._webhooks.compile(base)
        status = None if stage.status is UNSET else self._values.compile(stage.status, (*at, "status"), self._with_job)
        return StageSpec(self._after(stage.after, (*at, "after")), status, webhook)

    def _after(self, after: Any, at: At) -> Delay | None:
        return None if after == BEFORE_RESPONSE else self._values.delay(after, at)


def _fingerprint(*parts: bytes) -> str:
    """Identifies a mock by what is written of it, and by the files that were read for it."""
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:32]
