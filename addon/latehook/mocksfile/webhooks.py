"""A webhook of a mocks file compiled: where it goes, what it says, how it is signed, sent and tried again."""

import re
import ssl
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from msgspec import UNSET

from latehook.base import errors, timestamps
from latehook.base.model import WebhookFault
from latehook.base.text import did_you_mean
from latehook.expressions.expression import Names, roots_of
from latehook.expressions.names import body_members
from latehook.mocks.decide import is_url
from latehook.mocks.definitions import BodySpec, FaultSpec, SignSpec, WebhookSpec
from latehook.mocks.rendering import METHOD
from latehook.mocksfile.entries import RetryEntry, SignEntry, WebhookEntry
from latehook.mocksfile.source import Path as At
from latehook.mocksfile.values import Values
from latehook.webhooks import retries, schemes, signing

DEFAULT_TIMEOUT = "15s"
DEFAULT_RETRY = retries.RetrySchedule((1.0, 5.0, 15.0))

Layer = tuple[At, WebhookEntry]
"""A webhook's keys as they stand in one place; the later of several layers wins."""


class WebhookCompiler:
    """Compiles webhooks. `at_request` are the names known when the request comes, `at_attempt` when it is sent."""

    def __init__(self, values: Values, at_request: Names, at_attempt: Names) -> None:
        self._values = values
        self._at_request = at_request
        self._at_attempt = at_attempt

    def compile(self, layers: Sequence[Layer]) -> WebhookSpec:
        """The spec that several layers make together. MocksError for the first thing that is wrong."""
        place = layers[-1][0]
        to_at, to = pick(layers, "to")
        if to is UNSET:
            raise self._values.error(place, "the key 'to' is missing: where does this webhook go?")
        headers = self._values.headers(
            [(at, entry.headers) for at, entry in given(layers, "headers")], self._at_attempt
        )
        query = self._values.layered([(at, entry.query) for at, entry in given(layers, "query")], self._at_attempt)
        body = self._values.body(layers, self._at_attempt)
        sign = self._sign(*pick(layers, "sign"))
        method = self._method(*pick(layers, "method", "POST"))
        later = roots_of([headers, query, method, body.value if body else None, sign.secret if sign else None])
        when_at, when = pick(layers, "when")
        event_at, event = pick(layers, "event", None)
        return WebhookSpec(
            to=self._to(to, to_at),
            method=method,
            headers=headers,
            query=query,
            body=body,
            when=self._values.when(when, when_at, self._at_request),
            event=self._values.compile(event, event_at, self._at_request),
            retry=self._retry(*pick(layers, "retry")),
            timeout=self._timeout(*pick(layers, "timeout", DEFAULT_TIMEOUT)),
            sign=sign,
            ordered=self._ordered(*pick(layers, "ordered", True)),
            verify=self._verify(*pick(layers, "verify", True)),
            fault=self._fault(*pick(layers, "fault"), place, body, sign),
            place=self._values.place(place),
            reads=body_members(later),
        )

    def _to(self, to: Any, at: At) -> Any:
        compiled = self._values.compile(to, at, self._at_request)
        for url in compiled if isinstance(compiled, list) else [compiled]:
            if isinstance(url, str) and not is_url(url):
                raise self._values.error(at, f"{url!r} is not a URL: write http://host[:port]/path")
        return compiled

    def _method(self, at: At, method: str) -> Any:
        compiled = self._values.compile(method, at, self._at_attempt)
        if callable(compiled):
            return compiled
        if not METHOD.fullmatch(str(compiled)):
            raise self._values.error(at, f"{compiled!r} is not a method: write GET, POST, PUT, PATCH or DELETE")
        return str(compiled).upper()

    def _timeout(self, at: At, timeout: Any) -> float:
        value = self._values.seconds(timeout, at)
        if value == 0:
            raise self._values.error(at, "a timeout of 0 fails every attempt: write 15s, or leave it out")
        return value

    def _ordered(self, at: At, ordered: Any) -> bool:
        value = self._values.constant(ordered, at)
        if not isinstance(value, bool):
            raise self._values.error(at, f"{value!r} is neither true nor false")
        return value

    def _verify(self, at: At, verify: Any) -> bool | str:
        value = self._values.constant(verify, at)
        if isinstance(value, bool):
            return value
        file = str(self._values.file(str(value), at))
        try:
            ssl.create_default_context(cafile=file)
        except ssl.SSLError:
            raise self._values.error(at, f"{file!r} holds no certificate in PEM") from None
        return file

    def _fault(
        self, at: At, fault: Any, of: At, body: BodySpec | None, sign: SignSpec | None
    ) -> FaultSpec[WebhookFault] | None:
        """The fault of the webhook that is written at `of`: what it corrupts must be there."""
        spec = self._values.fault(fault, at, WebhookFault, "webhook")
        corrupted = {WebhookFault.CORRUPT_BODY: (body, "body"), WebhookFault.CORRUPT_SIGNATURE: (sign, "`sign`")}
        if spec is not None and spec.kind in corrupted:
            there, name = corrupted[spec.kind]
            if there is None:
                webhook = self._values.place(of).key
                raise self._values.error(at, f"{spec.kind}: {webhook} has no {name}: write one, or another fault")
        return spec

    def _retry(self, at: At, retry: Any) -> retries.RetrySchedule:
        if retry is UNSET:
            return DEFAULT_RETRY
        if isinstance(retry, str):
            return self._values.preset(
                str(self._values.constant(retry, at)), retries.RETRY_SCHEDULES, at, "a retry preset"
            )
        if isinstance(retry, RetryEntry):
            waits = self._retry((*at, "waits"), retry.waits)
            return retries.RetrySchedule(
                waits.waits,
                self._statuses(retry.success, waits.success, (*at, "success")),
                self._statuses(retry.stop_on, waits.stop_on, (*at, "stop_on")),
                waits.retry_after if retry.retry_after is UNSET else bool(retry.retry_after),
            )
        return retries.RetrySchedule(tuple(self._values.seconds(wait, (*at, n)) for n, wait in enumerate(retry)))

    def _statuses(self, given: Any, default: tuple[str, ...], at: At) -> tuple[str, ...]:
        if given is UNSET:
            return default
        for n, status in enumerate(given):
            if not re.fullmatch(r"[1-5](xx|\d\d)", str(status), re.IGNORECASE):
                raise self._values.error((*at, n), f"{status!r} is not a status: write 200, or 2xx for all of them")
        return tuple(map(str, given))

    def _sign(self, at: At, sign: Any) -> SignSpec | None:
        if not isinstance(sign, SignEntry):
            return None
        scheme = schemes.Scheme()
        if sign.scheme is not UNSET:
            name = str(self._values.constant(sign.scheme, (*at, "scheme")))
            scheme = self._values.preset(name, schemes.SCHEMES, (*at, "scheme"), "a scheme")
        given = {
            key.name: self._values.constant(getattr(sign, key.name), (*at, key.name))
            for key in fields(schemes.Scheme)
            if getattr(sign, key.name, UNSET) is not UNSET
        }
        scheme = replace(scheme, **given)
        self._check_scheme(scheme, sign, at)
        secret = self._values.compile(sign.secret, (*at, "secret"), self._at_attempt)
        self._check_secret(scheme, secret, (*at, "secret"))
        return SignSpec(scheme, secret, self._skew(sign.skew, (*at, "skew")), self._values.place(at))

    def _check_secret(self, scheme: schemes.Scheme, secret: Any, at: At) -> None:
        """A secret that is known at load is tried."""
        secrets = secret if isinstance(secret, list) else [secret]
        message = signing.Message("id", 0.0, "POST", "http://app.invalid/", b"{}", "application/json")
        try:
            signing.sign(replace(scheme, fields={}), [one for one in secrets if isinstance(one, str)], message)
        except errors.SigningError as error:
            raise self._values.error(at, str(error)) from None

    def _skew(self, skew: Any, at: At) -> float:
        """A duration that may be less than nothing: a clock that is slow."""
        if skew is UNSET:
            return 0.0
        text = str(self._values.constant(skew, at)).strip()
        return -self._values.seconds(text[1:], at) if text.startswith("-") else self._values.seconds(text, at)

    def _check_scheme(self, scheme: schemes.Scheme, sign: SignEntry, at: At) -> None:
        known = {
            "algorithm": signing.ALGORITHMS,
            "secret_encoding": signing.SECRET_ENCODINGS,
            "encoding": signing.ENCODINGS,
            "timestamp_format": timestamps.FORMATS,
        }
        for key, values in known.items():
            value = getattr(scheme, key)
            if value not in values:
                raise self._values.error(
                    (*at, key), f"{value!r} is not known{did_you_mean(value, values)}: use {', '.join(values)}"
                )
        if not scheme.headers and not scheme.fields:
            raise self._values.error(
                at, "nothing would carry the signature: write `headers` or `fields`, or a `scheme`"
            )
        templates: dict[At, str] = {("message",): scheme.message}
        templates |= {("headers", name): text for name, text in scheme.headers.items()}
        templates |= {("fields", name): text for name, text in scheme.fields.items()}
        for where, text in templates.items():
            if problem := signing.check_template(text, after=where != ("message",)):
                raise self._values.error((*at, *where), problem)


def given(layers: Sequence[Layer], key: str) -> list[tuple[At, WebhookEntry]]:
    return [((*at, key), entry) for at, entry in layers if getattr(entry, key) is not UNSET]


def pick(layers: Sequence[Layer], key: str, default: Any = UNSET) -> tuple[At, Any]:
    """The value of a key in the last layer that gives it, with its place."""
    for at, entry in reversed(layers):
        value = getattr(entry, key)
        if value is not UNSET:
            return (*at, key), value
    return (*layers[-1][0], key), default
