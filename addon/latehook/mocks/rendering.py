"""PURE: a mock's messages rendered: its response, and the attempts of its webhooks."""

import random
import re
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from latehook.base.errors import BodyError, ExpressionError, Place
from latehook.base.json_text import LONE_SURROGATE
from latehook.base.messages import Headers, Outgoing, Response, WebhookFault, content_type_of
from latehook.base.model import Content, Moment, StoredWebhook
from latehook.bodies.codings import codings_of, compress
from latehook.expressions.expression import render
from latehook.expressions.random_values import new_uuid
from latehook.expressions.values import to_text
from latehook.expressions.views import JobView, WebhookView
from latehook.mocks.bodies import BodySpec
from latehook.mocks.context import Context, scope_of
from latehook.mocks.definitions import ResponseSpec, WebhookSpec
from latehook.mocks.fields import items_of, pairs_of, require_map
from latehook.mocks.signatures import sign_message
from latehook.webhooks.draft import Message

STATUSES_WITHOUT_BODY = (204, 304)
METHOD_PATTERN = re.compile(r"[A-Za-z]+")


def render_response(spec: ResponseSpec, scope: Mapping[str, Any], moment: Moment) -> Response:
    """Return the response. Raises ExpressionError with the place of what fails."""
    status = _status(spec, scope)
    headers = _headers(spec.headers, spec.place, scope)
    if status in STATUSES_WITHOUT_BODY:
        return Response(status, headers)
    body = b""
    if spec.body is not None:
        own_type = content_type_of(headers)
        body, content_type = spec.body.render(scope, moment, own_type)
        headers = _with_content_type(headers, own_type, content_type)
        body = _compressed(body, spec.body, headers)
    return Response(status, (*headers, ("content-length", str(len(body)))), body)


def _compressed(body: bytes, spec: BodySpec | None, headers: Headers) -> bytes:
    """Return a body with the content codings that the headers name. Raises ExpressionError for an unknown one."""
    if spec is None or not spec.IS_COMPRESSED:
        return body
    values = [value for name, value in headers if name.lower() == "content-encoding"]
    if not values:
        return body
    try:
        return compress(body, codings_of(values))
    except BodyError as error:
        raise ExpressionError(spec.place, str(error)) from None


def prepare_attempt(
    spec: WebhookSpec, constants: Mapping[str, Any], stored: StoredWebhook, moment: Moment, context: Context
) -> tuple[Content, Outgoing]:
    """Return a webhook's content and its next attempt.

    The content is rendered at the first attempt and stays the same at every later one; headers and signature are those
    of `moment`. The time that a signature covers is real: receivers compare it with their own clock. Raises
    ExpressionError: the webhook can never be sent.
    """
    scope = webhook_scope(constants, stored, moment, context)
    headers = _headers(spec.headers, spec.place, scope)
    own_type = content_type_of(headers)
    content = stored.content or _content(spec, stored, scope, moment, own_type)
    headers = _with_content_type(headers, own_type, content.content_type)
    method = content.method or _method(spec, scope)
    fault = _fault(spec, stored, context)
    url, body = content.url, content.body
    # RFC 9421 and RFC 9530 cover the body as it is sent; providers with schemes of their own sign what was compressed
    is_signed_compressed = spec.sign is not None and bool(spec.sign.scheme.components)
    if is_signed_compressed:
        body = _compressed(body, spec.body, headers)
    if spec.sign is not None:
        at = moment.real_now + spec.sign.skew
        uuid = partial(new_uuid, moment.random)
        message = Message(stored.webhook.id, at, method, url, body, headers, uuid)
        signed = sign_message(spec.sign, message, scope, corrupt=fault is WebhookFault.CORRUPT_SIGNATURE)
        headers, url, body = (*headers, *signed.headers), signed.url, signed.body
    if fault is WebhookFault.CORRUPT_BODY:
        body = _corrupt(body)
    if not is_signed_compressed:
        body = _compressed(body, spec.body, headers)
    return content, Outgoing(method, url, headers, body, spec.timeout, spec.verify, fault, spec.redirects)


def webhook_scope(
    constants: Mapping[str, Any], stored: StoredWebhook, moment: Moment, context: Context
) -> dict[str, Any]:
    """Return what the expressions of a webhook see after the request: at an attempt, and when its turn comes."""
    webhook, job = stored.webhook, stored.job
    scope = scope_of(constants, webhook.request or job.request, moment, context)
    scope["now"] = now = moment.of(job).now
    scope["job"] = JobView(job, now, webhook.stage, webhooks=context.webhooks)
    scope["webhook"] = WebhookView(webhook.id, stored.attempts + 1, webhook.event, webhook.to)
    if webhook.index is not None:
        scope["item"], scope["index"] = webhook.item, webhook.index
    return scope


def _content(
    spec: WebhookSpec, stored: StoredWebhook, scope: Mapping[str, Any], moment: Moment, own_type: str | None
) -> Content:
    """Render a webhook's content. `own_type` is the content type of the mock's headers, None if they have none."""
    body, content_type = (b"", own_type) if spec.body is None else spec.body.render(scope, moment, own_type)
    query = require_map(render(spec.query, scope), spec.place, "query")
    try:
        url = _with_query(stored.webhook.to or "", query)
    except UnicodeEncodeError as error:
        raise ExpressionError(spec.place, f"query: {error}") from None
    return Content(url, body, content_type, _method(spec, scope))


def _fault(spec: WebhookSpec, stored: StoredWebhook, context: Context) -> WebhookFault | None:
    """Return the fault of the next attempt, if it has one.

    It is drawn from the webhook's id, which follows from the seed, and the attempt's number. So it does not depend on
    other attempts and requests in between, and is the same for an attempt that a crash cut and that is made again.
    """
    if spec.fault is None:
        return None
    source = random.Random(f"{stored.webhook.id} {stored.attempts + 1}")
    return spec.fault.draw(source, context.fault_count(stored.webhook.definition, stored.webhook.mock_stage))


def _corrupt(body: bytes) -> bytes:
    """Return a body of the same length with another first byte: JSON, forms and multipart are no longer valid."""
    return (b"!" if body.startswith(b"~") else b"~") + body[1:]


def _method(spec: WebhookSpec, scope: Mapping[str, Any]) -> str:
    method = to_text(render(spec.method, scope))
    if not METHOD_PATTERN.fullmatch(method):
        raise ExpressionError(spec.place, f"method is {method!r}: it must be GET, POST, PUT, PATCH or DELETE")
    return method.upper()


def _status(spec: ResponseSpec, scope: Mapping[str, Any]) -> int:
    status = render(spec.status, scope)
    if type(status) is int and 200 <= status <= 599:
        return status
    text = to_text(status)
    if not (text.isascii() and text.isdigit() and 200 <= int(text) <= 599):
        raise ExpressionError(spec.place, f"status is {text!r}: it must be a number from 200 to 599")
    return int(text)


def _headers(headers: Any, place: Place, scope: Mapping[str, Any]) -> Headers:
    """Return the headers as written.

    A null header is left out; a list sends its header several times. Raises ExpressionError.
    """
    rendered = []
    for name, value in require_map(render(headers, scope), place, "headers").items():
        if problem := header_name_problem(name):
            raise ExpressionError(place, f"headers: {problem}")
        for item in [] if value is None else items_of(value):
            text = to_text(item)
            if _FORBIDDEN_IN_HEADER.search(text):
                raise ExpressionError(place, f"headers.{name}: {text!r} has a line break, which no header may have")
            if not text.isascii() and LONE_SURROGATE.search(text):
                raise ExpressionError(place, f"headers.{name}: {text!r} has half of a surrogate pair: no header can")
            rendered.append((name, text))
    return tuple(rendered)


def header_name_problem(name: str) -> str | None:
    """Return why a message may not have a header of this name, or None if it may."""
    if not _HEADER_NAME.fullmatch(name):
        return f"{name!r} is not a header's name"
    if name.lower() in ("content-length", "transfer-encoding"):
        return f"{name} follows from the body: leave it out"
    return None


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORBIDDEN_IN_HEADER = re.compile(r"[\r\n\0]")


def _with_content_type(headers: Headers, own: str | None, content_type: str | None) -> Headers:
    """Return the headers with the body's content type: in the place of their own, or else first."""
    if content_type is None or content_type == own:
        return headers
    if own is None:
        return (("content-type", content_type), *headers)
    return tuple((name, content_type if name.lower() == "content-type" else value) for name, value in headers)


def _with_query(url: str, fields: Mapping[str, Any]) -> str:
    """Return the URL with these parameters added behind its own, which stay as they are."""
    if not fields:
        return url
    url, mark, fragment = url.partition("#")
    separator = "" if url.endswith(("?", "&")) else "&" if "?" in url else "?"
    return f"{url}{separator}{urlencode(pairs_of(fields), quote_via=quote)}{mark}{fragment}"
