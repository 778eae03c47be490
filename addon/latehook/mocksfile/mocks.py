"""Compiles one entry of `mocks` in a mocks file. Every error has the place of the key that is wrong."""

import hashlib
import re
from dataclasses import replace
from typing import Any

from msgspec import UNSET

from latehook.base.messages import ResponseFault
from latehook.expressions.answers import reads_answers
from latehook.expressions.body_members import members_read
from latehook.expressions.compiler import Compiler
from latehook.expressions.expression import Names, reads_of
from latehook.expressions.names import ANSWERS, AT_REQUEST, JOB, WEBHOOK
from latehook.mocks import matching
from latehook.mocks.definitions import JobSpec, Mock, ResponseSpec
from latehook.mocks.times import Time
from latehook.mocksfile.choices import check_choices
from latehook.mocksfile.entries import ChoiceEntry, JobEntry, MockEntry, ResponseEntry
from latehook.mocksfile.source import KeyPath, Source
from latehook.mocksfile.stages import StageCompiler
from latehook.mocksfile.values import Values
from latehook.mocksfile.webhook_entries import WebhookEntry
from latehook.mocksfile.webhooks import WebhookCompiler


class MockCompiler:
    """Compiles one mock."""

    def __init__(
        self,
        source: Source,
        compiler: Compiler,
        defaults: WebhookEntry,
        entry: MockEntry,
        index: int,
        names: Names,
        job_vars: Names | None,
    ) -> None:
        """Prepare to compile `entry`, the mock with this index in `source`.

        `defaults` are the webhook keys under `defaults`. `names` are added to those that every expression may use.
        `job_vars` are the names that `job.vars` of any job may have; None if they are not known. Raises MocksError if
        the `match` is wrong.
        """
        self._source = source
        self._compiler = compiler
        self._values = Values(source, compiler)
        self._entry = entry
        self._index = index
        self._path: KeyPath = ("mocks", index)
        self._matcher = self._match()
        self._at_request: Names = {**AT_REQUEST, **names, "request": self._request_names()}
        job: Names = {**JOB["job"], "vars": self._vars_names(job_vars)}
        self._after_request: Names = {**self._at_request, "job": {**job, **ANSWERS}}
        is_found = entry.lookup is not UNSET  # a job that a lookup has found may have sent webhooks
        self._with_job: Names = self._after_request if is_found else {**self._at_request, "job": job}
        names_of_attempt = {**self._after_request, **WEBHOOK}
        webhooks = WebhookCompiler(self._values, self._with_job, self._after_request, names_of_attempt)
        self._stages = StageCompiler(self._values, webhooks, defaults, self._path, self._with_job, self._after_request)

    @property
    def body_members(self) -> frozenset[str]:
        """After `compile`: the members of `request` that need its body and that an expression reads."""
        return self._values.body_members

    @property
    def kept_members(self) -> frozenset[str]:
        """After `compile`: those that a later request reads of a job's request."""
        return self._values.kept_members

    def compile(self) -> Mock:
        """Return the mock. Raises MocksError for the first error."""
        entry = self._entry
        starts = entry.lookup is UNSET and any(key is not UNSET for key in (entry.job, entry.webhook, entry.stages))
        names = self._after_request if starts or entry.lookup is not UNSET else self._at_request
        matcher = self._matcher
        self._check_keys()
        responses = self._responses(names, starts)
        stages = self._stages.compile(entry)
        job = None if entry.job is UNSET else self._job(entry.job)
        webhooks = [stage.webhook for stage in stages if stage.webhook is not None]
        late_statuses = [stage.status for stage in stages if stage.is_status_late]
        files = self._values.files
        return Mock(
            matcher=matcher,
            definition=_hash(self._source.identity(self._index, files), *files.values()),
            name=matcher.text if entry.name is UNSET else str(self._values.constant(entry.name, (*self._path, "name"))),
            place=self._values.place(self._path),
            excerpt=self._source.excerpt(self._index, files),
            constants=self._compiler.constants(),
            response=responses[-1] if responses else None,
            choices=tuple(responses[:-1]),
            when=self._values.when(entry.when, (*self._path, "when"), names if not starts else self._at_request),
            when_text=str(entry.when) if entry.when is not UNSET else "",
            times=self._times(),
            lookup=self._lookup(),
            job=job,
            stages=stages,
            kept_members=members_read(reads_of(late_statuses)).union(*(webhook.body_members for webhook in webhooks)),
            reads_answers=self._values.reads_answers,
        )

    def _check_keys(self) -> None:
        """Refuse keys that cannot stand together."""
        entry = self._entry
        if entry.response == "forward":
            for key in ("job", "webhook", "stages", "lookup"):
                if getattr(entry, key) is not UNSET:
                    problem = (
                        f"`response: forward` sends the request to the real service and starts no job: remove `{key}`"
                    )
                    raise self._values.error((*self._path, key), problem)
        if entry.lookup is not UNSET and entry.job is not UNSET:
            problem = "a mock with `lookup` answers for a job that exists: remove `job`, or `lookup`"
            raise self._values.error((*self._path, "job"), problem)

    def _request_names(self) -> Names:
        """Return the members of `request`: `request.path` has only what the `match` captures."""
        return {**AT_REQUEST["request"], "path": dict.fromkeys(self._matcher.captures)}

    def _vars_names(self, any_job: Names | None) -> Names | None:
        """Return the names that `job.vars` has in this mock; None if they are not known."""
        job = self._entry.job
        if self._entry.lookup is not UNSET:
            return any_job
        if not isinstance(job, JobEntry):
            return {}
        return None if isinstance(job.vars, str) else dict.fromkeys(job.vars)

    # The mock's own keys

    def _match(self) -> matching.Matcher:
        path: KeyPath = (*self._path, "match")
        try:
            return matching.parse(str(self._values.constant(self._entry.match, path)))
        except ValueError as error:
            raise self._values.error(path, str(error)) from None

    def _times(self) -> int | None:
        if self._entry.times is UNSET:
            return None
        path: KeyPath = (*self._path, "times")
        times = self._values.constant(self._entry.times, path)
        if isinstance(times, str) and times.isdigit():
            times = int(times)
        if not isinstance(times, int) or isinstance(times, bool) or times < 1:
            raise self._values.error(path, f"{times!r} is not a number of requests: write 1 or more")
        return times

    def _lookup(self) -> Any:
        if self._entry.lookup is UNSET:
            return None
        return self._values.condition(self._entry.lookup, (*self._path, "lookup"), self._at_request)

    def _job(self, entry: JobEntry) -> JobSpec:
        path: KeyPath = (*self._path, "job")
        id = None if entry.id is UNSET else self._values.compile(entry.id, (*path, "id"), self._at_request)
        key_path = (*path, "idempotency_key")
        return JobSpec(
            id=id,
            vars=self._values.map(entry.vars, (*path, "vars"), self._with_job),
            idempotency_key=self._values.condition(entry.idempotency_key, key_path, self._at_request),
            place=self._values.place(path),
        )

    def _responses(self, names: Names, starts_job: bool) -> list[ResponseSpec]:
        """Return the responses, of which one is chosen; none where the request is forwarded."""
        path: KeyPath = (*self._path, "response")
        entries = self._entry.response
        if isinstance(entries, str):
            return []
        if isinstance(entries, ResponseEntry):
            return [self._response(entries, path, names)]
        check_choices(self._values, entries, path, starts_job)
        return [self._choice(entry, (*path, index), names) for index, entry in enumerate(entries)]

    def _choice(self, entry: ChoiceEntry, path: KeyPath, names: Names) -> ResponseSpec:
        """Return one of several responses."""
        when = self._values.when(entry.when, (*path, "when"), names)
        return replace(self._response(entry, path, names), when=when, rejects=entry.rejects)

    def _response(self, entry: ResponseEntry, path: KeyPath, names: Names) -> ResponseSpec:
        status = self._values.compile(entry.status, (*path, "status"), names)
        if not callable(status) and not (re.fullmatch(r"[2-5]\d\d", str(status))):
            raise self._values.error((*path, "status"), f"{status!r} is not a status: write a number from 200 to 599")
        layers = [((*path, "headers"), entry.headers)]
        headers, body = self._values.headers(layers, names), self._values.body([(path, entry)], names)
        self._values.check_encoding(body, headers, layers)
        read = [status, headers, body.value if body else None]
        return ResponseSpec(
            status=status,
            headers=headers,
            body=body,
            delay=self._delay(entry, path, names),
            fault=self._values.fault(entry.fault, (*path, "fault"), ResponseFault, "response"),
            place=self._values.place(path),
            until=self._until(entry, path, names),
            reads_answers=reads_answers(read),
        )

    def _until(self, entry: ResponseEntry, path: KeyPath, names: Names) -> Any:
        if entry.until is not UNSET and entry.delay is UNSET:
            problem = "a response waits for `until` at most as long as its `delay`: write one, such as 30s"
            raise self._values.error((*path, "until"), problem)
        return self._values.when(entry.until, (*path, "until"), names)

    def _delay(self, entry: ResponseEntry, path: KeyPath, names: Names) -> Time | None:
        """Return the delay of a response. Unlike the response itself it is decided at the request."""
        if entry.delay is UNSET:
            return None
        return self._values.time(entry.delay, (*path, "delay"), self._with_job if "job" in names else names)


def _hash(*parts: bytes) -> str:
    """Return a hash that identifies a mock by its text and the files that were read for it."""
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:32]
