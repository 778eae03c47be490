"""PURE: `job.webhooks`: what became of a job's webhooks, and what their receiver answered."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from latehook.base.errors import BodyError
from latehook.base.messages import Answer
from latehook.base.model import FINISHED, Job, StoredWebhook
from latehook.bodies import decoding
from latehook.bodies.charsets import declared_charset, decode_charset
from latehook.expressions.expression import reads_of
from latehook.expressions.headers import HeadersView
from latehook.expressions.values import View

ReadWebhooks = Callable[[Job], Sequence[StoredWebhook]]
"""Returns the webhooks of a job as they are now, in the order of their stages."""


def reads_answers(value: Any) -> bool:
    """Return whether an expression in a compiled value reads `job.webhooks`."""
    return any(name == "job.webhooks" or name.startswith("job.webhooks.") for name in reads_of(value))


class AnsweredWebhookView(View):
    """One of `job.webhooks`: a webhook, and what its last attempt that has ended was answered; null before that.

    A member that needs the answer raises BodyError where the answer was not kept or cannot be decoded.
    """

    members = frozenset({"state", "attempts", "url", "status", "headers", "json", "text", "xml", "error"})

    def __init__(self, stored: StoredWebhook) -> None:
        self.state = stored.webhook.state.value
        self.attempts = stored.attempts
        self.url = stored.webhook.to
        self._kept = None if stored.content is None else stored.content.answer

    @property
    def status(self) -> int | None:
        return None if self._answer is None else self._answer.status

    @property
    def error(self) -> str | None:
        return None if self._answer is None else self._answer.error

    @cached_property
    def headers(self) -> HeadersView | None:
        return None if self._answer is None or self._answer.status is None else HeadersView(self._answer.headers)

    @cached_property
    def json(self) -> Any:
        return self._decoded(decoding.parse_json)

    @cached_property
    def xml(self) -> Any:
        return self._decoded(decoding.parse_xml)

    @cached_property
    def text(self) -> str | None:
        text: str | None = self._decoded(_decode_text)
        return text

    def _decoded(self, decode: Callable[[bytes, int, Sequence[str], str], Any]) -> Any:
        """Return the body of the answer as `decode` gives it; None where there was no answer. Raises BodyError."""
        answer = self._answer
        if answer is None or answer.status is None:
            return None
        if answer.is_cut:
            raise BodyError(f"the answer has more than {len(answer.body):,} bytes, and only so many are kept")
        codings, types = _values_of(answer, b"content-encoding"), _values_of(answer, b"content-type")
        return decode(answer.body, len(answer.body), codings, next(iter(types), ""))

    @property
    def _answer(self) -> Answer | None:
        """Return the last answer, None where no attempt has ended. Raises BodyError where it was not kept."""
        if self._kept is None and self.attempts > 0:
            raise BodyError("the answer was not kept, because no mock read `job.webhooks` when it came")
        return self._kept


def _decode_text(body: bytes, size: int, codings: Sequence[str], content_type: str) -> str:
    return decode_charset(decoding.decode(body, size, codings), declared_charset(content_type), "the answer")


def _values_of(answer: Answer, wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in answer.headers if name.lower() == wanted]


def by_event(webhooks: Sequence[StoredWebhook], now: float) -> Mapping[str, AnsweredWebhookView]:
    """Return a view of the newest webhook of each event: the last one that is due at `now`, or else the first.

    `now` is a time of Latehook's clock.
    """
    newest: dict[str, StoredWebhook] = {}
    for stored in webhooks:
        webhook = stored.webhook
        has_come = webhook.due <= now or stored.attempts > 0 or webhook.state in FINISHED
        if webhook.event is not None and (has_come or webhook.event not in newest):
            newest[webhook.event] = stored
    return {event: AnsweredWebhookView(stored) for event, stored in newest.items()}
