"""PURE: the messages of a mock made out: its response, and what each webhook says."""

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from latehook.base import errors
from latehook.base.errors import ExpressionError, Place
from latehook.base.json_text import encode_json
from latehook.base.model import Content, Headers, Moment, Outgoing, Response, StoredWebhook, WebhookFault
from latehook.expressions.expression import render
from latehook.expressions.values import to_text
from latehook.expressions.views import JobView, WebhookView
from latehook.mocks.context import Context, scope_of
from latehook.mocks.definitions import BodySpec, FileSpec, ResponseSpec, SignSpec, WebhookSpec
from latehook.webhooks import signing

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
TEXT = "text/plain; charset=utf-8"
WITHOUT_BODY = (204, 304)
METHOD = re.compile(r"[A-Za-z]+")
SHOWN = 80
"""Characters of a value that an error shows."""


def render_response(spec: ResponseSpec, scope: Mapping[str, Any], moment: Moment) -> Response:
    """The response. ExpressionError names the place of what cannot be made out."""
    status = _status(spec, scope)
    body, content_type = (b"", None) if status in WITHOUT_BODY else _body(spec.body, scope, moment)
    headers = _headers(spec.headers, spec.place, scope, content_type)
    if status not in WITHOUT_BODY:
        headers = (*headers, ("content-length", str(len(body))))
    return Response(status, headers, body)


def prepare_attempt(
    spec: WebhookSpec, constants: Mapping[str, Any], owed: StoredWebhook, moment: Moment, context: Context
) -> tuple[Content, Outgoing]:
    """The next attempt at a webhook. Its content is decided at the first one and the same at every later one; headers,
    time and signature are of this moment. ExpressionError: it can never be sent.
    """
    scope = _webhook_scope(constants, owed, moment, context)
    content = owed.content or _content(spec, owed, scope, moment)
    headers = _headers(spec.headers, spec.place, scope, content.content_type)
    method = content.method or _method(spec, scope)
    fault = _fault(spec, owed, context)
    url, body = content.url, content.body
    if spec.sign is not None:
        signed = _sign(spec.sign, method, owed, content, headers, scope, moment, fault)
        given = {name.lower() for name, _ in headers}
        headers = (*headers, *(pair for pair in signed.headers if pair[0].lower() not in given))
        url, body = signed.url, signed.body
    if fault is WebhookFault.CORRUPT_BODY:
        body = _corrupt(body)
    return content, Outgoing(method, url, headers, body, spec.timeout, spec.verify, fault)


def _content(spec: WebhookSpec, owed: StoredWebhook, scope: Mapping[str, Any], moment: Moment) -> Content:
    body, content_type = _body(spec.body, scope, moment)
    query = require_map(render(spec.query, scope), spec.place, "query")
    return Content(_with_query(owed.webhook.to or "", query), body, content_type, _method(spec, scope))


def _fault(spec: WebhookSpec, owed: StoredWebhook, context: Context) -> WebhookFault | None:
    """Whether the fault happens to this attempt.

    Drawn from the webhook's id, which is of the seed's making, and the attempt's number: so it is the same whichever
    other attempts and requests come between, and again for an attempt that a crash cut.
    """
    if spec.fault is None:
        return None
    source = random.Random(f"{owed.webhook.id} {owed.attempts + 1}")
    return spec.fault.draw(source, context.fault_count(owed.webhook.definition, owed.webhook.mock_stage))


def _corrupt(body: bytes) -> bytes:
    """As long as before, and no JSON, form or multipart any more: their first byte is another one."""
    return (b"!" if body.startswith(b"~") else b"~") + body[1:]


def header_name_problem(name: str) -> str | None:
    """Why a message may not have a header of this name, if it may not."""
    if not _HEADER_NAME.fullmatch(name):
        return f"{name!r} is not a header's name"
    if name.lower() in ("content-length", "transfer-encoding"):
        return f"{name} follows from the body: leave it out"
    return None


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def require_map(value: Any, place: Place, key: str) -> Mapping[str, Any]:
    """A rendered value that must be a map; null is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        written = encode_json(value).decode()
        shown = (
            written if len(written) <= SHOWN else f"{len(written):,} characters of JSON"
        )  # half a secret is not hidden
        raise ExpressionError(place, f"{key} is {shown}, which is not a map")
    return value


def _webhook_scope(
    constants: Mapping[str, Any], owed: StoredWebhook, moment: Moment, context: Context
) -> dict[str, Any]:
    webhook, job = owed.webhook, owed.job
    scope = scope_of(constants, webhook.request or job.request, moment, context)
    scope["job"] = JobView(job, moment, webhook.stage)
    scope["webhook"] = WebhookView(webhook.id, owed.attempts + 1, webhook.event)
    return scope


def _method(spec: WebhookSpec, scope: Mapping[str, Any]) -> str:
    method = to_text(render(spec.method, scope))
    if not METHOD.fullmatch(method):
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


def _body(spec: BodySpec | None, scope: Mapping[str, Any], moment: Moment) -> tuple[bytes, str | None]:
    """A body and the content type that follows from its kind."""
    if spec is None:
        return b"", None
    if spec.kind == "file":
        return spec.value.content, spec.value.type
    value = render(spec.value, scope)
    if spec.kind == "json":
        try:
            return encode_json(value), JSON
        except (ValueError, RecursionError) as error:
            raise ExpressionError(spec.place, f"this is not JSON: {error}") from None
    if spec.kind == "form":
        return urlencode(_pairs(require_map(value, spec.place, "form"))).encode("utf-8", "surrogatepass"), FORM
    if spec.kind == "multipart":
        return _multipart(require_map(value, spec.place, "multipart"), f"latehook-{moment.random.getrandbits(96):024x}")
    return to_text(value).encode("utf-8", "surrogatepass"), TEXT


def _multipart(fields: Mapping[str, Any], boundary: str) -> tuple[bytes, str]:
    """RFC 7578."""
    body = bytearray()
    for name, item in ((name, item) for name, value in fields.items() for item in _items(value)):
        disposition = f'form-data; name="{_quoted(name)}"'
        if isinstance(item, FileSpec):
            disposition += f'; filename="{_quoted(item.filename)}"\r\nContent-Type: {item.type}'
        content = item.content if isinstance(item, FileSpec) else to_text(item).encode("utf-8", "surrogatepass")
        body += f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + content + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return bytes(body), f"multipart/form-data; boundary={boundary}"


def _quoted(name: str) -> str:
    """As browsers write it: RFC 7578 leaves it open, the HTML standard does not."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _headers(spec: Any, place: Place, scope: Mapping[str, Any], content_type: str | None) -> Headers:
    """The headers as written, and the body's content type unless they name one. A null header is left out."""
    headers = []
    for name, value in require_map(render(spec, scope), place, "headers").items():
        if problem := header_name_problem(name):
            raise ExpressionError(place, f"headers: {problem}")
        for item in [] if value is None else _items(value):
            text = to_text(item)
            if any(mark in text for mark in "\r\n\0"):
                raise ExpressionError(place, f"headers.{name}: {text!r} has a line break, which no header may have")
            headers.append((name, text))
    if content_type is not None and not any(name.lower() == "content-type" for name, _ in headers):
        headers.insert(0, ("content-type", content_type))
    return tuple(headers)


def _items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _pairs(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values of a query or form: null is an empty value, a list is the name several times."""
    return [(name, to_text(item)) for name, value in fields.items() for item in _items(value)]


def _with_query(url: str, fields: Mapping[str, Any]) -> str:
    """The URL with more parameters behind its own, which stay as they are."""
    if not fields:
        return url
    url, mark, fragment = url.partition("#")
    joint = "" if url.endswith(("?", "&")) else "&" if "?" in url else "?"
    return f"{url}{joint}{urlencode(_pairs(fields), quote_via=quote)}{mark}{fragment}"


def _sign(
    spec: SignSpec,
    method: str,
    owed: StoredWebhook,
    content: Content,
    headers: Headers,
    scope: Mapping[str, Any],
    moment: Moment,
    fault: WebhookFault | None,
) -> signing.Signed:
    secrets = [to_text(secret) for secret in _items(render(spec.secret, scope)) if secret is not None]
    if not secrets:
        raise ExpressionError(spec.place, "sign.secret is null")
    content_type = next((value for name, value in headers if name.lower() == "content-type"), "")
    message = signing.Message(owed.webhook.id, moment.now + spec.skew, method, content.url, content.body, content_type)
    try:
        return signing.sign(spec.scheme, secrets, message, wrong=fault is WebhookFault.CORRUPT_SIGNATURE)
    except errors.SigningError as error:
        raise ExpressionError(spec.place, str(error)) from None
