"""PURE: templates of responses and webhooks, from the messages of a recording."""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from latehook.base.urls import query_of, split_url
from latehook.importing.exchanges import LOCATIONS, Exchange, KeyPath, Message, leaves
from latehook.importing.json_texts import json_text
from latehook.importing.keyed_fields import with_hmacs
from latehook.importing.links import is_url, same_url, suffix_of
from latehook.importing.retrying import retry_of
from latehook.importing.scrubbing import Scrubber, snake
from latehook.importing.shapes import is_opaque
from latehook.importing.signing_keys import Sign, sign_of
from latehook.importing.situations import Situation, braces, from_environment
from latehook.importing.unify import Differs, Notes, Unifier

_RESPONSE_HEADERS = frozenset((*LOCATIONS, "retry-after"))
"""Headers of a response that clients of an asynchronous service read. Others are left out."""

_LEFT_OUT = re.compile(
    r"(?i)host|content-length|connection|transfer-encoding|accept(-.*)?|keep-alive|te|trailer|upgrade|via|date|forwarded"
    r"|x-forwarded-.*|x-real-ip|cf-.*|cdn-loop|x-amzn-.*|x-cloud-trace.*|traceparent|tracestate|baggage|b3|x-b3-.*|ngrok-.*"
    r"|x-envoy-.*|x-request-id|x-request-start|proxy-.*|content-encoding|expect|sentry-trace|x-datadog-.*|newrelic|cookie"
)
"""Headers of a webhook that the network and tracing add."""

_CLIENTS = re.compile(
    r"(?i)(python|httpx|aiohttp|curl|go-http|okhttp|java|axios|node|undici|ruby|guzzle|apache|latehook|mitmproxy).*"
)
"""The names of HTTP libraries in `User-Agent`: they say nothing about the provider."""

_EVENT = re.compile(r"^(event|event_?type|type|action|webhook_code|topic|event_?name)$")
_TYPES = {
    "json": "application/json",
    "xml": "application/xml",
    "form": "application/x-www-form-urlencoded",
    "text": "text/plain",
}
CALLBACK = "{{ env.CALLBACK_URL }}"


class Templates:
    """Makes templates, and notes what it guesses. If `strict`, messages that no template gives alike raise Differs."""

    def __init__(self, scrubber: Scrubber, notes: Notes, strict: bool = False) -> None:
        self.scrubber = scrubber
        self.notes = notes
        self.strict = strict

    def unify(self, samples: Sequence[tuple[Any, Situation]], *place: str) -> Any:
        return Unifier(self.scrubber, self.notes, self.strict, place).unify(samples)

    def response(self, samples: Sequence[tuple[Exchange, Situation]]) -> dict[str, Any]:
        """Return `response` for these exchanges, which have the same status."""
        status = samples[0][0].status or 200
        found: dict[str, Any] = {"status": status} if status != 200 else {}
        messages = [(exchange.response, situation) for exchange, situation in samples]
        wanted = {
            name.lower(): name
            for message, _ in messages
            for name, value in message.headers
            if name.lower() in _RESPONSE_HEADERS or (is_opaque(value) and value in samples[0][1].known)
        }
        headers = self._headers(messages, wanted)
        if status not in (204, 304):
            found |= self._body(messages, headers)
        return (
            found
            if not headers
            else {
                **{key: found[key] for key in found if key == "status"},
                "headers": headers,
                **{key: value for key, value in found.items() if key != "status"},
            }
        )

    def _headers(
        self, messages: Sequence[tuple[Message, Situation]], wanted: dict[str, str], is_webhook: bool = False
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for lower, name in wanted.items():
            having = [(message.header(lower), situation) for message, situation in messages if message.header(lower)]
            if len(having) < len(messages):
                if self.strict:
                    raise Differs
                if len(having) * 2 < len(messages):
                    continue
            value = self.unify(having, "headers", name)
            if (
                is_webhook
                and self.scrubber.is_secret((name,), having[0][0])
                and not re.search(r"\{\{ (request|job\.request|env)\.", str(value))
            ):
                variable = re.sub(r"\W", "_", name).upper()
                scheme = re.match(r"(Basic|Bearer|Token) |", having[0][0])
                value = (scheme[0] if scheme else "") + from_environment(variable, "")
            found[name] = value
        return found

    def _body(
        self,
        messages: Sequence[tuple[Message, Situation]],
        headers: dict[str, Any],
        signed: frozenset[KeyPath] = frozenset(),
        secrets: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the body, and add its content type to `headers` where the kind of body would have another one.

        At the places `signed`, `sign` writes the values: they are empty here.
        """
        kinds = {message.body.kind for message, _ in messages}
        kind = messages[0][0].body.kind
        if len(kinds) > 1 and self.strict:
            raise Differs
        messages = [one for one in messages if one[0].body.kind == kind]
        if kind == "none":
            return {}
        is_form = kind in ("form", "multipart") and messages[0][0].is_webhook
        if is_form and kind == "multipart":
            return {kind: self._form(messages, signed, secrets or {})}
        if kind in ("binary", "multipart"):
            self.notes.add(f"{kind} body left out: give it as `file` or `multipart`", ())
            content_type = messages[0][0].header("content-type")
            headers |= {"Content-Type": self.scrubber.clean_text(content_type)} if content_type else {}
            return {"text": ""} if content_type else {}
        content_type = messages[0][0].header("content-type")
        if content_type and content_type.partition(";")[0].strip().lower() != _TYPES[kind]:
            headers["Content-Type"] = self.scrubber.clean_text(content_type)
        if is_form:
            return {kind: self._form(messages, signed, secrets or {})}
        return {kind: self.unify([(emptied(message.body.value, signed), situation) for message, situation in messages])}

    def _form(
        self,
        messages: Sequence[tuple[Message, Situation]],
        signed: frozenset[KeyPath],
        secrets: Mapping[str, str],
    ) -> Any:
        """Return the fields of a webhook's form. A field that is JSON becomes a text that gives its JSON."""
        form = self.unify([(emptied(message.body.value, signed), situation) for message, situation in messages])
        for name in messages[0][0].body.json_fields & form.keys():
            values = [message.body.value.get(name) for message, _ in messages]
            form[name] = json_text(with_hmacs(form[name], values, secrets))
        if files := [name for name, value in form.items() if value is None]:
            self.notes.add("files left out: give them as `file`", tuple(files))
        return {name: value for name, value in form.items() if value is not None}

    # Webhooks

    def webhook(self, samples: Sequence[tuple[Exchange, Situation]], secrets: dict[str, str]) -> dict[str, Any]:
        """Return the webhook that all these exchanges are."""
        found: dict[str, Any] = {"to": self._target(samples)}
        methods = {exchange.method for exchange, _ in samples}
        if len(methods) > 1:
            found["method"] = self.unify([(exchange.method, situation) for exchange, situation in samples], "method")
        elif methods != {"POST"}:
            found["method"] = samples[0][0].method
        if query := self._query(samples):
            found["query"] = query
        sign = sign_of(samples, secrets, self.unify, self.notes) or Sign({})
        headers = self._webhook_headers(samples, sign.headers)
        messages = [(exchange.request, situation) for exchange, situation in samples]
        body = self._body(messages, headers if isinstance(headers, dict) else {}, sign.places, secrets)
        if headers:
            found["headers"] = headers
        found |= body
        if sign.entry:
            found["sign"] = sign.entry
        if redirects := max(exchange.redirects for exchange, _ in samples):
            found["redirects"] = redirects
        if (retry := retry_of([exchange for exchange, _ in samples])) is not None:
            self.notes.add("these waits were seen; without a failure there may be more", ("retry",))
            found["retry"] = retry
        return found

    def _target(self, samples: Sequence[tuple[Exchange, Situation]]) -> str:
        """Return the URL: the value of the request that names it, or CALLBACK_URL."""
        named = [_url_sources(exchange, situation) for exchange, situation in samples]
        having = [sources for sources in named if sources]
        if not having:
            self.notes.add("no request names the URL of this webhook: set CALLBACK_URL", ("to",))
            return CALLBACK
        common = [pair for pair in having[0] if all(pair in sources for sources in having)]
        expression = common[0][0] if common else " or ".join(dict.fromkeys(sources[0][0] for sources in having))
        suffix = (common or having[0])[0][1]
        return braces(expression if len(having) == len(samples) else f"{expression} or env.CALLBACK_URL") + suffix

    def _query(self, samples: Sequence[tuple[Exchange, Situation]]) -> dict[str, Any]:
        """Return the parameters that the URL in the request does not have itself."""
        rest = []
        for exchange, situation in samples:
            own = _own_query(exchange, situation)
            rest.append(({name: value for name, value in exchange.query if name not in own}, situation))
        return self.unify(rest, "query") if any(query for query, _ in rest) else {}

    def _webhook_headers(self, samples: Sequence[tuple[Exchange, Situation]], signed: frozenset[str]) -> Any:
        messages = [(exchange.request, situation) for exchange, situation in samples]
        names = [name for message, _ in messages for name, _ in message.headers if not _LEFT_OUT.fullmatch(name)]
        wanted = {
            name.lower(): name
            for name in reversed(names)
            if name.lower() not in signed and name.lower() != "content-type"
        }
        if all(_CLIENTS.fullmatch(message.header("user-agent")) for message, _ in messages):
            wanted.pop("user-agent", None)
        if all(_is_of_url(exchange, situation) for exchange, situation in samples):
            wanted.pop("authorization", None)
        chosen = self._chosen_header(samples, wanted)
        found = self._headers(messages, {name: wanted[name] for name in reversed(list(wanted))}, is_webhook=True)
        if chosen is None:
            return found
        rest = (
            "{}" if not found else "{" + ", ".join(f"'{name}': {_inner(value)}" for name, value in found.items()) + "}"
        )
        pair = f"{chosen[0]}: {chosen[1]}"
        with_pair = "{" + pair + "}" if rest == "{}" else "{" + pair + ", " + rest[1:]
        return braces(f"{with_pair} if {chosen[0]} else {rest}")

    def _chosen_header(
        self, samples: Sequence[tuple[Exchange, Situation]], wanted: dict[str, str]
    ) -> tuple[str, str] | None:
        """Return the expressions of a header whose name and value the request gave, and take it out of `wanted`."""
        exchange, situation = samples[0]
        for lower in list(wanted):
            names = [
                source
                for source in situation.sources
                if isinstance(source.value, str) and source.value.lower() == lower
            ]
            value = exchange.request.header(lower)
            values = [source for source in situation.sources if source.value == value]
            if names and values:
                del wanted[lower]
                return names[0].expression, values[0].expression
        return None


def emptied(value: Any, places: frozenset[KeyPath], path: KeyPath = ()) -> Any:
    """Return a value with empty texts at these places."""
    if not places or path in places:
        return "" if places else value
    if isinstance(value, dict):
        return {key: emptied(item, places, (*path, key)) for key, item in value.items()}
    return [emptied(item, places, (*path, at)) for at, item in enumerate(value)] if isinstance(value, list) else value


def _inner(text: Any) -> str:
    """Return a template as part of an expression."""
    whole = re.fullmatch(r"\{\{ ([^{}]*) \}\}", str(text))
    return whole[1] if whole else "'" + str(text).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _url_sources(exchange: Exchange, situation: Situation) -> list[tuple[str, str]]:
    """Return the expressions whose URL a webhook was sent to, the longest URL first, with what follows behind it."""
    urls = sorted((source for source in situation.sources if is_url(source.value)), key=lambda one: -len(one.value))
    exact = [(source.expression, "") for source in urls if same_url(source.value, exchange)]
    return exact or [(source.expression, text) for source in urls if (text := suffix_of(source.value, exchange))]


def _own_query(exchange: Exchange, situation: Situation) -> set[str]:
    """Return the names of the parameters of the URL that the request names."""
    urls = [source.value for source in situation.sources if same_url(source.value, exchange)]
    return {part.partition("=")[0] for url in urls[:1] for part in query_of(url).split("&") if part}


def _is_of_url(exchange: Exchange, situation: Situation) -> bool:
    """Return whether a webhook's authentication is the user name and password in its URL: Latehook adds that itself."""
    for source in situation.sources:
        parts = split_url(source.value) if same_url(source.value, exchange) else None
        if parts and parts.username:
            pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
            if exchange.request.header("authorization") == f"Basic {base64.b64encode(pair.encode()).decode()}":
                return True
    return False


def event_of(webhook: Exchange, scrubber: Scrubber) -> str | None:
    """Return the name of a webhook's event, None if it has none: the outermost field that is named like one."""
    found = [
        (len(path), value)
        for path, value in leaves(webhook.request.body.value)
        if path and _EVENT.fullmatch(snake(path[-1]))
    ]
    names = [
        value
        for _, value in sorted(found, key=lambda one: one[0])
        if isinstance(value, str) and re.fullmatch(r"[\w.:/-]{2,60}", value)
    ]
    return names[0] if names and scrubber.clean_text(names[0]) == names[0] else None
