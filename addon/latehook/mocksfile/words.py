"""Plain words for faults, retry schedules and signature schemes, for `latehook check` and the JSON Schema."""

from latehook.base.messages import ResponseFault, WebhookFault
from latehook.webhooks.retries import RetrySchedule
from latehook.webhooks.schemes import Scheme

RESPONSE_FAULTS = {
    ResponseFault.RESET: "the connection is reset instead",
    ResponseFault.EMPTY: "the connection is closed without an answer",
    ResponseFault.TRUNCATE: "the connection is closed in the middle of the response",
    ResponseFault.HANG: "nothing follows the middle of the response",
    ResponseFault.GARBAGE: "bytes that are not HTTP come instead",
}
WEBHOOK_FAULTS = {
    WebhookFault.DROP: "the attempt is not sent, and the webhook fails without a retry",
    WebhookFault.DUPLICATE: "the same request is sent twice at the same time",
    WebhookFault.CORRUPT_BODY: "the body is changed after it was signed",
    WebhookFault.CORRUPT_SIGNATURE: "the signature is changed",
}

MAX_WAITS = 6
"""Waits of a retry schedule that are shown; the rest is `…`."""


def describe_retry(schedule: RetrySchedule) -> str:
    if not schedule.waits:
        return "no retry"
    waits = ", ".join(f"{wait:g}" for wait in schedule.waits[:MAX_WAITS])
    more = ", …" if len(schedule.waits) > MAX_WAITS else ""
    return f"retries after {waits}{more} s"


def describe_scheme(scheme: Scheme) -> str:
    return f"{_signature(scheme)} in {', '.join((*scheme.headers, *scheme.fields))}"


def _signature(scheme: Scheme) -> str:
    if scheme.jwt is not None:
        kind = "a JWS of the body" if scheme.jwt.claims is None else "a JWT"
        return f"{kind} ({scheme.jwt.algorithm})"
    algorithm = "the secret itself" if scheme.algorithm == "none" else scheme.algorithm
    return f"{algorithm} of {', '.join(scheme.components)}" if scheme.components else algorithm


VALIDATE_MODES = {
    "off": "Requests are not compared.",
    "warn": "What differs is in the log, in the list of requests and on the page, and fails a strict test.",
    "refuse": "The request also gets the error response of the document, and starts no job.",
}
"""The values of `validate` → what they mean."""
