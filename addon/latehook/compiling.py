"""One entry of a mocks file compiled: its texts to expressions, its keys to plans, each with its place."""

import mimetypes
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from msgspec import UNSET

from latehook import matching, presets, signing
from latehook.durations import Delay, seconds
from latehook.entries import Bodies, DelayEntry, JobEntry, MockEntry, ResponseEntry, RetryEntry, SignEntry, WebhookEntry
from latehook.expressions import Compiler, Names, nearest, roots_of
from latehook.messages import METHOD, BodyPlan, FilePlan, ResponsePlan, SignPlan, WebhookPlan
from latehook.model import MocksError, Place
from latehook.scope import AT_LOAD, AT_REQUEST, COMPLETED, JOB, WEBHOOK, body_members
from latehook.service import JobPlan, Mock, StagePlan, is_url
from latehook.source import Path as At
from latehook.source import Source

BODY_KINDS = Bodies.__struct_fields__
DEFAULT_TIMEOUT = "15s"
DEFAULT_RETRY = presets.Schedule((1.0, 5.0, 15.0))
BEFORE_RESPONSE = "before-response"
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

Layer = tuple[At, WebhookEntry]
"""A webhook's keys as they stand in one place; the later of several layers wins."""


class MockCompiler:
    """Compiles one mock. `reads` and `later` are known once it has: which members of a request need its body."""

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
        self.reads: frozenset[str] = frozenset()
        self.later: frozenset[str] = frozenset()
        self._source = source
        self._compiler = compiler
        self._defaults: Layer = (("defaults", "webhook"), defaults)
        self._entry = entry
        self._path: At = ("mocks", at)
        self._at_request: Names = {**AT_REQUEST, **names}
        self._with_job: Names = {**self._at_request, "job": {**JOB["job"], "vars": self._vars_names(job_vars)}}
        self._in_webhook: Names = {**self._with_job, **WEBHOOK}

    def compile(self) -> Mock:
        """The mock. MocksError for the first thing that is wrong."""
        entry = self._entry
        starts = entry.lookup is UNSET and any(key is not UNSET for key in (entry.job, entry.webhook, entry.stages))
        names = self._with_job if starts or entry.lookup is not UNSET else self._at_request
        matcher = self._match()
        stages = self._stages()
        self._check_keys(starts)
        return Mock(
            matcher=matcher,
            name=matcher.text if entry.name is UNSET else str(self._constant(entry.name, (*self._path, "name"))),
            place=self._place(self._path),
            definition=self._source.fingerprint(self._path, ("defaults",)),
            constants=self._compiler.scope(),
            response=None if isinstance(entry.response, str) else self._response(entry.response, names),
            when=self._when(entry.when, (*self._path, "when"), names if not starts else self._at_request),
            when_text=str(entry.when) if entry.when is not UNSET else "",
            times=self._times(),
            lookup=self._lookup(),
            job=None if entry.job is UNSET else self._job(entry.job),
            stages=stages,
            keeps=frozenset().union(*(stage.webhook.reads for stage in stages if stage.webhook is not None)),
        )

    def _check_keys(self, starts: bool) -> None:
        entry = self._entry
        if entry.response == "forward":
            for key in ("job", "webhook", "stages", "lookup"):
                if getattr(entry, key) is not UNSET:
                    raise self._error(
                        (*self._path, key), "`response: forward` stands alone: a forwarded request starts no job"
                    )
        if entry.lookup is not UNSET and entry.job is not UNSET:
            raise self._error(
                (*self._path, "job"), "a mock with `lookup` answers for a job that exists: leave `job` out"
            )

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
            return matching.parse(str(self._constant(self._entry.match, at)))
        except ValueError as error:
            raise self._error(at, str(error)) from None

    def _times(self) -> int | None:
        times = self._entry.times
        if not isinstance(times, int):
            return None
        if times < 1:
            raise self._error((*self._path, "times"), f"{times} is not a number of requests: write 1 or more")
        return times

    def _lookup(self) -> Any:
        if self._entry.lookup is UNSET:
            return None
        return self._condition(self._entry.lookup, (*self._path, "lookup"), self._at_request)

    def _when(self, when: Any, at: At, names: Names) -> Any:
        """None where there is no condition, else what decides it."""
        if when is UNSET:
            return None
        compiled = self._condition(when, at, names)
        return compiled if callable(compiled) else bool(compiled)

    def _condition(self, text: Any, at: At, names: Names) -> Any:
        """An expression, which may be written without its braces."""
        if isinstance(text, str) and "{{" not in text and "{%" not in text:
            text = "{{ " + text + " }}"
        return self._compile(text, at, names)

    def _job(self, entry: Any) -> JobPlan:
        at: At = (*self._path, "job")
        id = None if entry.id is UNSET else self._compile(entry.id, (*at, "id"), self._at_request)
        return JobPlan(
            id=id,
            vars=self._map(entry.vars, (*at, "vars"), self._with_job),
            idempotency_key=self._compile(entry.idempotency_key, (*at, "idempotency_key"), self._at_request),
            place=self._place(at),
        )

    def _response(self, entry: ResponseEntry, names: Names) -> ResponsePlan:
        at: At = (*self._path, "response")
        status = self._compile(entry.status, (*at, "status"), names)
        if not callable(status) and not (re.fullmatch(r"[2-5]\d\d", str(status))):
            raise self._error((*at, "status"), f"{status!r} is not a status: write a number from 200 to 599")
        return ResponsePlan(
            status=status,
            headers=self._headers([((*at, "headers"), entry.headers)], names),
            body=self._body([(at, entry)], names),
            delay=None if entry.delay is UNSET else self._delay(entry.delay, (*at, "delay")),
            place=self._place(at),
        )

    # Stages and webhooks

    def _stages(self) -> tuple[StagePlan, ...]:
        entry = self._entry
        base: list[Layer] = [self._defaults]
        if isinstance(entry.webhook, WebhookEntry):
            base.append(((*self._path, "webhook"), entry.webhook))
        if entry.stages is UNSET:
            return (self._only_stage(base),) if len(base) > 1 else ()
        stages = [(stage, (*self._path, "stages", at)) for at, stage in enumerate(entry.stages)]
        if not stages:
            raise self._error((*self._path, "stages"), "there are no stages here: write at least one, or leave it out")
        if len(base) > 1 and not any(stage.webhook for stage, _ in stages):
            raise self._error((*self._path, "webhook"), "no stage sends this webhook: write `webhook: true` in one")
        if len(base) > 1 and base[1][1].after is not UNSET:
            raise self._error((*self._path, "webhook", "after"), "with `stages` each stage has its own `after`")
        return tuple(self._stage(stage, at, base) for stage, at in stages)

    def _only_stage(self, layers: Sequence[Layer]) -> StagePlan:
        """`webhook` alone is one stage that completes the job."""
        at, after = _pick(layers, "after", 0)
        return StagePlan(self._after(after, at), COMPLETED, self._webhook(layers))

    def _stage(self, stage: Any, at: At, base: Sequence[Layer]) -> StagePlan:
        webhook = None
        if isinstance(stage.webhook, WebhookEntry):
            if stage.webhook.after is not UNSET:
                raise self._error((*at, "webhook", "after"), "the stage has its own `after`: write it there")
            webhook = self._webhook([*base, ((*at, "webhook"), stage.webhook)])
        elif stage.webhook:
            if len(base) == 1 and self._defaults[1].to is UNSET:
                raise self._error((*at, "webhook"), "`true` means the mock's own `webhook`, and it has none")
            webhook = self._webhook(base)
        status = None if stage.status is UNSET else self._compile(stage.status, (*at, "status"), self._with_job)
        return StagePlan(self._after(stage.after, (*at, "after")), status, webhook)

    def _webhook(self, layers: Sequence[Layer]) -> WebhookPlan:
        place = layers[-1][0]
        to_at, to = _pick(layers, "to")
        if to is UNSET:
            raise self._error(place, "the key 'to' is missing: where does this webhook go?")
        headers = self._headers([(at, entry.headers) for at, entry in _given(layers, "headers")], self._in_webhook)
        query = self._layered([(at, entry.query) for at, entry in _given(layers, "query")], self._in_webhook)
        body = self._body(layers, self._in_webhook)
        sign = self._sign(*_pick(layers, "sign"))
        method = self._method(*_pick(layers, "method", "POST"))
        later = roots_of([headers, query, method, body.value if body else None, sign.secret if sign else None])
        self._note_later(later)
        when_at, when = _pick(layers, "when")
        event_at, event = _pick(layers, "event", None)
        return WebhookPlan(
            to=self._to(to, to_at),
            method=method,
            headers=headers,
            query=query,
            body=body,
            when=self._when(when, when_at, self._with_job),
            event=self._compile(event, event_at, self._with_job),
            retry=self._retry(*_pick(layers, "retry")),
            timeout=self._timeout(*_pick(layers, "timeout", DEFAULT_TIMEOUT)),
            sign=sign,
            ordered=_pick(layers, "ordered", True)[1],
            verify=self._verify(*_pick(layers, "verify", True)),
            place=self._place(place),
            reads=body_members(later),
        )

    def _to(self, to: Any, at: At) -> Any:
        compiled = self._compile(to, at, self._with_job)
        for url in compiled if isinstance(compiled, list) else [compiled]:
            if isinstance(url, str) and not is_url(url):
                raise self._error(at, f"{url!r} is not a URL: write http://host[:port]/path")
        return compiled

    def _method(self, at: At, method: str) -> Any:
        compiled = self._compile(method, at, self._in_webhook)
        if not callable(compiled) and not METHOD.fullmatch(str(compiled)):
            raise self._error(at, f"{compiled!r} is not a method: write GET, POST, PUT, PATCH or DELETE")
        return compiled

    def _timeout(self, at: At, timeout: Any) -> float:
        value = self._seconds(timeout, at)
        if value == 0:
            raise self._error(at, "a timeout of 0 fails every attempt: write 15s, or leave it out")
        return value

    def _verify(self, at: At, verify: Any) -> bool | str:
        if isinstance(verify, bool):
            return verify
        return str(self._file(str(self._constant(verify, at)), at))

    def _retry(self, at: At, retry: Any) -> presets.Schedule:
        if retry is UNSET:
            return DEFAULT_RETRY
        if isinstance(retry, str):
            return self._preset(str(self._constant(retry, at)), presets.SCHEDULES, at, "a retry preset")
        if isinstance(retry, RetryEntry):
            waits = self._retry((*at, "waits"), retry.waits)
            return presets.Schedule(
                waits.waits,
                self._statuses(retry.success, waits.success, (*at, "success")),
                self._statuses(retry.stop_on, waits.stop_on, (*at, "stop_on")),
                waits.retry_after if retry.retry_after is UNSET else bool(retry.retry_after),
            )
        return presets.Schedule(tuple(self._seconds(wait, (*at, n)) for n, wait in enumerate(retry)))

    def _statuses(self, given: Any, default: tuple[str, ...], at: At) -> tuple[str, ...]:
        if given is UNSET:
            return default
        for n, status in enumerate(given):
            if not re.fullmatch(r"[1-5](xx|\d\d)", str(status), re.IGNORECASE):
                raise self._error((*at, n), f"{status!r} is not a status: write 200, or 2xx for all of them")
        return tuple(map(str, given))

    def _sign(self, at: At, sign: Any) -> SignPlan | None:
        if not isinstance(sign, SignEntry):
            return None
        scheme = presets.Scheme()
        if sign.scheme is not UNSET:
            scheme = self._preset(sign.scheme, presets.SCHEMES, (*at, "scheme"), "a scheme")
        given = {
            key.name: getattr(sign, key.name)
            for key in fields(presets.Scheme)
            if getattr(sign, key.name, UNSET) is not UNSET
        }
        scheme = replace(scheme, **given)
        self._check_scheme(scheme, sign, at)
        secret = self._compile(sign.secret, (*at, "secret"), self._in_webhook)
        return SignPlan(scheme, secret, self._skew(sign.skew, (*at, "skew")), self._place(at))

    def _skew(self, skew: Any, at: At) -> float:
        """A duration that may be less than nothing: a clock that is slow."""
        if skew is UNSET:
            return 0.0
        text = str(self._constant(skew, at)).strip()
        return -self._seconds(text[1:], at) if text.startswith("-") else self._seconds(text, at)

    def _check_scheme(self, scheme: presets.Scheme, sign: SignEntry, at: At) -> None:
        known = {
            "algorithm": signing.ALGORITHMS,
            "secret_encoding": signing.SECRET_ENCODINGS,
            "encoding": signing.ENCODINGS,
            "timestamp_format": signing.TIMESTAMP_FORMATS,
        }
        for key, values in known.items():
            value = getattr(scheme, key)
            if value not in values:
                raise self._error(
                    (*at, key), f"{value!r} is not known{nearest(value, values)}: use {', '.join(values)}"
                )
        if not scheme.headers and not scheme.fields:
            raise self._error(at, "nothing would carry the signature: write `headers` or `fields`, or a `scheme`")
        templates: dict[At, str] = {("message",): scheme.message}
        templates |= {("headers", name): text for name, text in scheme.headers.items()}
        templates |= {("fields", name): text for name, text in scheme.fields.items()}
        for where, text in templates.items():
            if problem := signing.check_template(text, after=where != ("message",)):
                raise self._error((*at, *where), problem)

    def _preset[Preset](self, name: str, known: Mapping[str, Preset], at: At, kind: str) -> Preset:
        if name not in known:
            raise self._error(at, f"{name!r} is not {kind}{nearest(name, known)}; there are {', '.join(known)}")
        return known[name]

    # Values

    def _after(self, after: Any, at: At) -> Delay | None:
        return None if after == BEFORE_RESPONSE else self._delay(after, at)

    def _delay(self, delay: Any, at: At) -> Delay:
        if not isinstance(delay, DelayEntry):
            return Delay("fixed", self._seconds(delay, at))
        if (delay.uniform is UNSET) == (delay.lognormal is UNSET):
            raise self._error(at, "write one of {uniform: [5s, 10s]} and {lognormal: {median: 5s, sigma: 0.5}}")
        if isinstance(delay.uniform, tuple):
            least, most = (self._seconds(end, (*at, "uniform", n)) for n, end in enumerate(delay.uniform))
            if least > most:
                raise self._error((*at, "uniform"), f"{least:g} s is more than {most:g} s: write the lesser one first")
            return Delay("uniform", least, most)
        lognormal: Any = delay.lognormal
        median = self._seconds(lognormal.median, (*at, "lognormal", "median"))
        if median == 0 or lognormal.sigma < 0:
            raise self._error((*at, "lognormal"), "the median must be more than 0, and sigma not less")
        return Delay("lognormal", median, lognormal.sigma)

    def _body(self, layers: Sequence[tuple[At, Bodies]], names: Names) -> BodyPlan | None:
        """The body of the last layer that has one."""
        for at, entry in reversed(layers):
            kinds = [kind for kind in BODY_KINDS if getattr(entry, kind) is not UNSET]
            if len(kinds) > 1:
                raise self._error(
                    (*at, kinds[1]), f"a body is one of {', '.join(BODY_KINDS)}: {kinds[0]} stands here too"
                )
            if kinds:
                return self._one_body(kinds[0], getattr(entry, kinds[0]), (*at, kinds[0]), names)
        return None

    def _one_body(self, kind: str, value: Any, at: At, names: Names) -> BodyPlan:
        place = self._place(at)
        if kind == "file":
            return BodyPlan(kind, self._file_plan(value, at), place)
        if kind == "multipart" and isinstance(value, dict):
            compiled = {name: self._part(item, (*at, name), names) for name, item in value.items() if item is not None}
            return BodyPlan(kind, compiled, place)
        if kind in ("form", "multipart"):
            return BodyPlan(kind, self._map(value, at, names), place)
        return BodyPlan(kind, self._compile(value, at, names), place)

    def _part(self, item: Any, at: At, names: Names) -> Any:
        if not isinstance(item, dict):
            return self._compile(item, at, names)
        if not item.keys() <= {"file", "filename", "type"} or "file" not in item:
            raise self._error(at, "a file is {file: PATH}, with `filename` and `type` if they are to differ")
        plan = self._file_plan(item["file"], (*at, "file"))
        filename = str(self._constant(item.get("filename", plan.filename), (*at, "filename")))
        return FilePlan(plan.content, filename, str(self._constant(item.get("type", plan.type), (*at, "type"))))

    def _file_plan(self, name: Any, at: At) -> FilePlan:
        file = self._file(str(self._constant(name, at)), at)
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        return FilePlan(file.read_bytes(), file.name, kind)

    def _file(self, name: str, at: At) -> Path:
        """A file that can be read; its name counts from the mocks file's folder."""
        file = Path(self._source.file).parent / Path(name).expanduser()
        try:
            with file.open("rb"):
                return file
        except OSError as error:
            raise self._error(at, f"the file {str(file)!r} cannot be read: {error.strerror}") from None

    def _headers(self, layers: Sequence[tuple[At, Any]], names: Names) -> Any:
        compiled = self._layered(layers, names)
        for at, headers in layers:
            for name in headers if isinstance(headers, dict) else ():
                if not HEADER_NAME.fullmatch(name):
                    raise self._error((*at, name), f"{name!r} is not a header's name")
                if name.lower() in ("content-length", "transfer-encoding"):
                    raise self._error((*at, name), f"{name} follows from the body: leave it out")
        return compiled

    def _layered(self, layers: Sequence[tuple[At, Any]], names: Names) -> Any:
        """Maps laid over each other, name by name; one that is an expression replaces what is below."""
        merged: Any = {}
        for at, layer in layers:
            compiled = self._map(layer, at, names, keep_nulls=True)
            merged = {**merged, **compiled} if isinstance(compiled, dict) and isinstance(merged, dict) else compiled
        return {k: v for k, v in merged.items() if v is not None} if isinstance(merged, dict) else merged

    def _map(self, value: Any, at: At, names: Names, keep_nulls: bool = False) -> Any:
        """A map, or an expression that gives one. A name with null for its value is left out."""
        if isinstance(value, dict):
            value = {name: item for name, item in value.items() if keep_nulls or item is not None}
        compiled = self._compile(value, at, names)
        if not isinstance(compiled, dict) and not callable(compiled):
            raise self._error(at, f"{compiled!r} is not a map, nor an expression that gives one")
        return compiled

    def _seconds(self, duration: Any, at: At) -> float:
        try:
            return seconds(self._constant(duration, at))
        except ValueError as error:
            raise self._error(at, str(error)) from None

    def _constant(self, value: Any, at: At) -> Any:
        """A value that must be known at load: of all names only `env` may stand in it."""
        return self._compile(value, at, AT_LOAD)

    def _compile(self, value: Any, at: At, names: Names) -> Any:
        if isinstance(value, str):
            compiled = self._compiler.compile(value, self._place(at), names)
            self._note(roots_of(compiled))
            return compiled
        if isinstance(value, dict):
            return {key: self._compile(item, (*at, key), names) for key, item in value.items()}
        if isinstance(value, list):
            return [self._compile(item, (*at, n), names) for n, item in enumerate(value)]
        return value

    def _note(self, roots: frozenset[str]) -> None:
        """Remember what is read of requests, and what of those that started a job."""
        self.reads |= body_members(roots) | body_members(roots, "job.request")
        self.later |= body_members(roots, "job.request")
        if any(root.partition(".")[0] == "jobs" for root in roots) or "job" in roots:
            self.later |= body_members(frozenset({"request"}))

    def _note_later(self, roots: frozenset[str]) -> None:
        self.reads |= body_members(roots)

    def _place(self, at: At) -> Place:
        return self._source.place(at)

    def _error(self, at: At, problem: str) -> MocksError:
        return MocksError(self._place(at), problem)


def _given(layers: Sequence[Layer], key: str) -> list[tuple[At, WebhookEntry]]:
    return [((*at, key), entry) for at, entry in layers if getattr(entry, key) is not UNSET]


def _pick(layers: Sequence[Layer], key: str, default: Any = UNSET) -> tuple[At, Any]:
    """The value of a key in the last layer that gives it, with its place."""
    for at, entry in reversed(layers):
        value = getattr(entry, key)
        if value is not UNSET:
            return (*at, key), value
    return (*layers[-1][0], key), default
