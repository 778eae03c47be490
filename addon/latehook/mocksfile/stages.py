"""Compiles `stages`, `webhook` and `each` of a mock in a mocks file."""

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from latehook.base.model import COMPLETED
from latehook.expressions.answers import reads_answers
from latehook.expressions.expression import Expression, Names
from latehook.expressions.values import to_text
from latehook.mocks.definitions import EndOf, StageSpec, WebhookSpec
from latehook.mocks.fields import name_problem
from latehook.mocks.times import Time
from latehook.mocksfile.entries import MockEntry, StageEntry
from latehook.mocksfile.events import check_events, check_own_events, check_repetitions
from latehook.mocksfile.multiplicity import check_each, compile_each, compile_repeat, names_of
from latehook.mocksfile.shared_entries import BEFORE_RESPONSE, DEFAULT_AFTER, StageTimeEntry
from latehook.mocksfile.source import KeyPath
from latehook.mocksfile.values import Values
from latehook.mocksfile.webhook_entries import WebhookEntry
from latehook.mocksfile.webhooks import Layer, WebhookCompiler, pick


class StageCompiler:
    """Compiles the stages of one mock. Every error has the place of the key that is wrong."""

    def __init__(
        self,
        values: Values,
        webhooks: WebhookCompiler,
        defaults: WebhookEntry,
        path: KeyPath,
        with_job: Names,
        after_request: Names,
    ) -> None:
        """Prepare to compile the stages of the mock at `path`.

        `defaults` are the webhook keys under `defaults`. `with_job` are the names that expressions may use at the
        request, `after_request` those that they may use later.
        """
        self._values = values
        self._webhooks = webhooks
        self._defaults: Layer = (("defaults", "webhook"), defaults)
        self._path = path
        self._with_job = with_job
        self._after_request = after_request

    def compile(self, entry: MockEntry) -> tuple[StageSpec, ...]:
        """Return the stages of a mock; none where it has neither `stages` nor a webhook. Raises MocksError."""
        base: list[Layer] = [self._defaults]
        check_each(self._values, entry, self._path)
        each = compile_each(self._values, entry.each, (*self._path, "each"), self._with_job)
        if isinstance(entry.webhook, WebhookEntry):
            base.append(((*self._path, "webhook"), entry.webhook))
        if entry.stages is UNSET:
            stages = [self._only_stage(base, each)] if len(base) > 1 else []
        else:
            self._check_stages(entry.stages, entry.webhook)
            path, last = (*self._path, "stages"), len(entry.stages) - 1
            stages = [
                self._stage(stage, (*path, index), base, each, index == last)
                for index, stage in enumerate(entry.stages)
            ]
        check_own_events(stages)
        check_repetitions(stages)
        if entry.lookup is UNSET:  # else the job may have webhooks of other mocks
            check_events(stages, self._values.answers_read)
        return tuple(stages)

    def _check_stages(self, stages: Sequence[StageEntry], webhook: Any) -> None:
        """Refuse stages that contradict each other or the mock's `webhook`."""
        if not stages:
            raise self._values.error((*self._path, "stages"), "the list is empty: write a stage, or remove `stages`")
        if webhook is not UNSET and not any(stage.webhook for stage in stages):
            problem = "no stage sends this webhook: write `webhook: true` in a stage"
            raise self._values.error((*self._path, "webhook"), problem)
        for key in ("after", "status"):
            if webhook is not UNSET and getattr(webhook, key) is not UNSET:
                problem = f"a mock with `stages` has `{key}` in each stage: move it there"
                raise self._values.error((*self._path, "webhook", key), problem)
        for index, stage in enumerate(stages[1:], 1):
            if stage.after == BEFORE_RESPONSE != stages[index - 1].after:
                problem = "the stage before this one comes after the response: move this stage in front of it"
                raise self._values.error((*self._path, "stages", index, "after"), problem)

    def _only_stage(self, layers: Sequence[Layer], each: Any) -> StageSpec:
        """Return the one stage of a `webhook` without `stages`."""
        after_path, after = pick(layers, "after", DEFAULT_AFTER)
        status_path, status = pick(layers, "status", COMPLETED)
        compiled = self._status(status, status_path)
        webhook = self._webhooks.seeing(names_of(each, None)).compile(layers)
        is_late = reads_answers(compiled)
        return StageSpec(self._after(after, after_path), compiled, webhook, each, is_status_late=is_late)

    def _stage(self, stage: StageEntry, path: KeyPath, base: Sequence[Layer], each: Any, is_last: bool) -> StageSpec:
        """Return a stage. `base` are the layers of the mock's own webhook, and `each` is the mock's own."""
        check_each(self._values, stage, path)
        if stage.each is not UNSET:
            each = compile_each(self._values, stage.each, (*path, "each"), self._with_job)
        repeat = compile_repeat(self._values, stage, path, self._with_job, is_last)
        webhook = self._webhook(stage, path, base, names_of(each, repeat))
        status = None if stage.status is UNSET else self._status(stage.status, (*path, "status"))
        return StageSpec(
            self._after(stage.after, (*path, "after")), status, webhook, each, repeat, reads_answers(status)
        )

    def _status(self, status: str, path: KeyPath) -> Any:
        """Compile a status. One that is known now is a text, or None: it keeps the one before."""
        compiled = self._values.compile(status, path, self._after_request)
        if isinstance(compiled, Expression) or compiled is None:
            return compiled
        name = to_text(compiled)
        if problem := name_problem(name):
            raise self._values.error(path, f"it {problem}")
        return name

    def _webhook(self, stage: StageEntry, path: KeyPath, base: Sequence[Layer], names: Names) -> WebhookSpec | None:
        """Return the webhook of a stage, whose expressions may use `names` too; None if it sends none."""
        webhooks = self._webhooks.seeing(names)
        if isinstance(stage.webhook, WebhookEntry):
            for key in ("after", "status"):
                if getattr(stage.webhook, key) is not UNSET:
                    problem = f"`{key}` is a key of the stage, not of its webhook: move it there"
                    raise self._values.error((*path, "webhook", key), problem)
            return webhooks.compile([*base, ((*path, "webhook"), stage.webhook)])
        if stage.webhook and len(base) == 1 and self._defaults[1].to is UNSET:
            problem = "`true` sends the mock's own `webhook`, and it has none: write one, or a map here"
            raise self._values.error((*path, "webhook"), problem)
        return webhooks.compile(base) if stage.webhook else None

    def _after(self, after: Any, path: KeyPath) -> Time | EndOf | None:
        """Return the time of a stage; None for `before-response`."""
        if after == BEFORE_RESPONSE:
            return None
        if not isinstance(after, StageTimeEntry):
            return self._values.time(after, path, self._with_job)
        if after.ended is UNSET:
            if after.plus is not UNSET:
                raise self._values.error((*path, "plus"), "`plus` counts from the end of a webhook: write `ended` too")
            return self._values.time(after, path, self._with_job)
        if after.uniform is not UNSET or after.lognormal is not UNSET:
            raise self._values.error(path, "a random time after the end of a webhook is {ended: EVENT, plus: {…}}")
        event = str(self._values.constant(after.ended, (*path, "ended")))
        plus = DEFAULT_AFTER if after.plus is UNSET else after.plus
        time = self._values.time(plus, (*path, "plus"), self._with_job)
        return EndOf(event, time, self._values.place((*path, "ended")))
