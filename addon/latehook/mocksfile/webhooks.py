"""Compiles the `webhook` keys of a mocks file. Every error has the place of the key that is wrong."""

import re
import ssl
from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from latehook.base.messages import WebhookFault
from latehook.expressions.answers import reads_answers
from latehook.expressions.body_members import members_read
from latehook.expressions.expression import Names, reads_of
from latehook.mocks.bodies import BodySpec
from latehook.mocks.definitions import FaultSpec, SignSpec, WebhookSpec
from latehook.mocks.rendering import METHOD_PATTERN
from latehook.mocks.signatures import expressions_of
from latehook.mocksfile.signatures import compile_sign
from latehook.mocksfile.source import KeyPath
from latehook.mocksfile.values import Values
from latehook.mocksfile.webhook_entries import DEFAULT_METHOD, DEFAULT_TIMEOUT, RetryEntry, WebhookEntry
from latehook.webhooks.retries import DEFAULT_RETRY, RETRY_SCHEDULES, RetrySchedule
from latehook.webhooks.targets import URL_HINT, is_url

Layer = tuple[KeyPath, WebhookEntry]
"""Keys of a webhook, and the place that has them. A webhook is made of several layers; later ones win."""


class WebhookCompiler:
    """Compiles the webhooks of one mock."""

    def __init__(self, values: Values, at_request: Names, at_turn: Names, at_attempt: Names) -> None:
        """`at_request` are the names for expressions that only the request decides, `at_attempt` those for an attempt.

        `at_turn` are those for what the request decides, unless it reads what receivers have answered.
        """
        self._values = values
        self._at_request = at_request
        self._at_turn = at_turn
        self._at_attempt = at_attempt

    def seeing(self, names: Names) -> "WebhookCompiler":
        """Return a compiler of webhooks whose expressions may use these names, too."""
        if not names:
            return self
        seen = (self._at_request, self._at_turn, self._at_attempt)
        return WebhookCompiler(self._values, *({**each, **names} for each in seen))

    def compile(self, layers: Sequence[Layer]) -> WebhookSpec:
        """Compile the webhook that several layers give together. Raises MocksError for the first error."""
        webhook_path = layers[-1][0]
        to_path, to = pick(layers, "to")
        if to is UNSET:
            raise self._values.error(webhook_path, "the key 'to' is missing: write the URL that the webhook goes to")
        headers = self._values.headers(values_of(layers, "headers"), self._at_attempt)
        query = self._values.merged(values_of(layers, "query"), self._at_attempt)
        body = self._values.body(layers, self._at_attempt)
        self._values.check_encoding(body, headers, values_of(layers, "headers"))
        sign = compile_sign(self._values, *pick(layers, "sign"), self._at_attempt)
        method = self._method(*pick(layers, "method", DEFAULT_METHOD))
        read_at_attempt = [headers, query, method, body.value if body else None, expressions_of(sign) if sign else None]
        when_path, when = pick(layers, "when")
        decided = {
            "to": self._to(to, to_path),
            "when": self._values.when(when, when_path, self._at_turn),
        }
        late = frozenset(name for name, value in decided.items() if reads_answers(value))
        event_path, written_event = pick(layers, "event", None)
        event = self._values.compile(written_event, event_path, self._at_request)
        wanted = True if "when" in late or decided["when"] is None else decided["when"]
        target = None if "to" in late else decided["to"]
        return WebhookSpec(
            **decided,
            method=method,
            headers=headers,
            query=query,
            body=body,
            event=event,
            retry=self._retry(*pick(layers, "retry")),
            timeout=self._timeout(*pick(layers, "timeout", DEFAULT_TIMEOUT)),
            sign=sign,
            ordered=self._ordered(*pick(layers, "ordered", True)),
            verify=self._verify(*pick(layers, "verify", True)),
            fault=self._fault(*pick(layers, "fault"), webhook_path, body, sign),
            place=self._values.place(webhook_path),
            render_at_request=self._values.renderer([wanted, event, target]),
            redirects=pick(layers, "redirects", 0)[1],
            body_members=members_read(reads_of([*read_at_attempt, *(decided[name] for name in late)])),
            late=late,
        )

    def _to(self, to: Any, path: KeyPath) -> Any:
        compiled = self._values.compile(to, path, self._at_turn)
        for url in compiled if isinstance(compiled, list) else [compiled]:
            if isinstance(url, str) and not is_url(url):
                raise self._values.error(path, f"{url!r} is not a URL: {URL_HINT}")
        return compiled

    def _method(self, path: KeyPath, method: str) -> Any:
        compiled = self._values.compile(method, path, self._at_attempt)
        if callable(compiled):
            return compiled
        if not METHOD_PATTERN.fullmatch(str(compiled)):
            raise self._values.error(path, f"{compiled!r} is not a method: write GET, POST, PUT, PATCH or DELETE")
        return str(compiled).upper()

    def _timeout(self, path: KeyPath, timeout: Any) -> float:
        seconds = self._values.seconds(timeout, path)
        if seconds == 0:
            raise self._values.error(
                path, f"with a timeout of 0 every attempt fails: write {DEFAULT_TIMEOUT}, or remove it"
            )
        return seconds

    def _ordered(self, path: KeyPath, ordered: Any) -> bool:
        value = self._values.constant(ordered, path)
        if not isinstance(value, bool):
            raise self._values.error(path, f"{value!r} is not a boolean: write true or false")
        return value

    def _verify(self, path: KeyPath, verify: Any) -> bool | str:
        value = self._values.constant(verify, path)
        if isinstance(value, bool):
            return value
        name = str(value)
        authorities = self._values.read_file(name, path).decode("ascii", "ignore")  # comments may have any encoding
        try:
            ssl.create_default_context(cadata=authorities)
        except (ssl.SSLError, ValueError):
            raise self._values.error(
                path, f"{name!r} has no certificate in PEM form: write true, false or a CA's file"
            ) from None
        return authorities

    def _fault(
        self, path: KeyPath, fault: Any, webhook_path: KeyPath, body: BodySpec | None, sign: SignSpec | None
    ) -> FaultSpec[WebhookFault] | None:
        """Return the fault. What it corrupts must be there: the webhook has this `body` and `sign`."""
        spec = self._values.fault(fault, path, WebhookFault, "webhook")
        corrupted = {WebhookFault.CORRUPT_BODY: (body, "body"), WebhookFault.CORRUPT_SIGNATURE: (sign, "`sign`")}
        if spec is not None and spec.kind in corrupted:
            part, name = corrupted[spec.kind]
            if part is None:
                webhook = self._values.place(webhook_path).key
                raise self._values.error(path, f"{spec.kind}: {webhook} has no {name}: write one, or another fault")
        return spec

    # Retries

    def _retry(self, path: KeyPath, retry: Any) -> RetrySchedule:
        if retry is UNSET:
            return DEFAULT_RETRY
        if isinstance(retry, str):
            name = str(self._values.constant(retry, path))
            return self._values.preset(name, RETRY_SCHEDULES, path, "a retry preset")
        if isinstance(retry, RetryEntry):
            base = self._retry((*path, "waits"), retry.waits)
            return RetrySchedule(
                base.waits,
                self._statuses(retry.success, base.success, (*path, "success")),
                self._statuses(retry.stop_on, base.stop_on, (*path, "stop_on")),
                base.retry_after if retry.retry_after is UNSET else bool(retry.retry_after),
            )
        return RetrySchedule(tuple(self._values.seconds(wait, (*path, index)) for index, wait in enumerate(retry)))

    def _statuses(self, statuses: Any, default: tuple[str, ...], path: KeyPath) -> tuple[str, ...]:
        if statuses is UNSET:
            return default
        for index, status in enumerate(statuses):
            if not re.fullmatch(r"[1-5](xx|\d\d)", str(status), re.IGNORECASE):
                problem = f"{status!r} is not a status: write 200, or 2xx for all from 200 to 299"
                raise self._values.error((*path, index), problem)
        return tuple(map(str, statuses))


def values_of(layers: Sequence[Layer], key: str) -> list[tuple[KeyPath, Any]]:
    """Return the paths and the values of a key in all layers that have it."""
    return [((*path, key), getattr(entry, key)) for path, entry in layers if getattr(entry, key) is not UNSET]


def pick(layers: Sequence[Layer], key: str, default: Any = UNSET) -> tuple[KeyPath, Any]:
    """Return the path and the value of a key from the last layer that has it; `default` if none has it."""
    values = values_of(layers, key)
    return values[-1] if values else ((*layers[-1][0], key), default)
