"""PURE: the mocks of chosen operations of an OpenAPI document."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from latehook.importing import yaml_text
from latehook.importing.exchanges import KeyPath
from latehook.importing.openapi_bodies import Body, headers, parameters
from latehook.importing.openapi_matches import is_below, match_of, order, segments
from latehook.openapi.samples import flat_schema
from latehook.importing.openapi_statuses import Course, canceled, course
from latehook.importing.openapi_values import Perspective, is_status_path, new_id, scalars, words
from latehook.importing.runtime_expressions import NotUnderstood, capture, member, translate
from latehook.importing.shapes import literal
from latehook.openapi.document import Document, as_list, as_map
from latehook.openapi.operations import Hook, Operation

CALLBACK_URL = "{{ env.CALLBACK_URL }}"
STEP = 5
"""Seconds between the stages: documents do not say any time."""

_URL_NAME = re.compile(r"(callback|webhook|hook|notif|sink|ipn).*(url|uri|endpoint)?$|^(url|uri)$")


@dataclass
class Choice:
    """What the user chose: operations of `all`, and for some of them what they send, by their names. `host` may be None."""

    all: Sequence[Operation]
    operations: Sequence[Operation]
    hooks: Mapping[str, Sequence[Hook]]
    host: str | None = None


@dataclass
class Imported:
    """The mocks with the lines of their comments, and what was left out, with the reason."""

    mocks: list[tuple[list[str], dict[str, Any]]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def import_(document: Document, choice: Choice) -> Imported:
    """Return the mocks of the chosen operations. Raises LatehookError."""
    result = Imported()
    lives = [_Life(one, choice) for one in choice.operations]
    starting = [life for life in lives if life.starts]
    taken: set[tuple[str, str | None]] = set()
    made: list[tuple[Any, list[str], dict[str, Any]]] = []
    for life in lives:
        try:
            match, when = match_of(life.operation, choice.host)
        except ValueError as error:
            result.left_out.append(f"{life.operation.name}: {error}")
            continue
        key = re.sub(r"\{[^{}]*\}", "{}", match), when
        if key in taken:
            result.left_out.append(f"{life.operation.name}: another operation has the same requests")
            continue
        taken.add(key)
        above = [one for one in starting if one is not life and is_below(life.operation.path, one.operation.path)]
        start = max(above, key=lambda one: len(segments(one.operation.path)), default=None)
        comments, mock = _MockMaker(document, life, start).make(match, when)
        made.append(((when is None, order(life.operation.path)), comments, mock))
    made.sort(key=lambda one: one[0])
    result.mocks = [(comments, mock) for _, comments, mock in made]
    result.left_out += [f"$ref {reference}: {reason}" for reference, reason in document.problems.items()]
    return result


class _Life:
    """What the document says of an operation and of the jobs that it starts."""

    def __init__(self, operation: Operation, choice: Choice) -> None:
        self.operation = operation
        self.hooks, self.unused = _hooks(operation, choice)
        self.status, self.response = operation.response()
        self.body = Body(operation.document, as_map(self.response.get("content")))
        self.request = Body(operation.document, operation.request_body())
        about = [one for one in choice.all if is_below(one.path, operation.path)]
        chosen = [one for one in choice.operations if is_below(one.path, operation.path)]
        self.wanted = self._wanted(about)
        self.id_path = self.body.id_path(self.wanted)
        self.course = self._course(about)
        changes = operation.method not in ("GET", "HEAD", "OPTIONS")
        has_life = self.id_path is not None and (self.course is not None or bool(chosen))
        self.starts = changes and (bool(self.hooks) or has_life or self._tells_location(chosen))

    @property
    def id(self) -> Any:
        return _at(self.body.sample.value, self.id_path)

    def _tells_location(self, chosen: Sequence[Operation]) -> bool:
        return bool(chosen) and any(name.lower() == "location" for name in as_map(self.response.get("headers")))

    def _wanted(self, about: Sequence[Operation]) -> list[str]:
        """Return the words of the names that the id may have, the most certain first."""
        own = segments(self.operation.path)
        literals = [one for one in own if "{" not in one and one]
        linked = [
            words(found[1])
            for link in map(self.operation.document.map, as_map(self.response.get("links")).values())
            for value in as_map(link.get("parameters")).values()
            if (found := re.search(r"\$response\.body#/(?:.*/)?([^/}]+)", str(value)))
        ]
        names = [
            words(found[0])
            for one in about
            if (found := re.findall(r"\{([^{}]*)\}", one.path.split("/")[len(own) + 1]))
        ]
        resource = [f"{words(_singular(literals[-1]))}id"] if literals else []
        return list(dict.fromkeys([*linked, *names, *resource]))

    def _course(self, about: Sequence[Operation]) -> Course | None:
        """Return the statuses of the jobs, by the response to the request or to a request about a job."""
        reads = [
            one
            for one in about
            if one.method == "GET" and len(segments(one.path)) == len(segments(self.operation.path)) + 1
        ]
        for body in [self.body, *(Body(one.document, as_map(one.response()[1].get("content"))) for one in reads[:1])]:
            for path, _ in sorted(scalars(body.sample.value), key=lambda one: len(one[0])):
                if is_status_path(path) and (found := course(as_list(body.sample.schema(path).get("enum")))):
                    return found
        return None

    def perspective(self, prefix: str, is_webhook: bool = False, own: "_Life | None" = None) -> Perspective:
        """Return what messages about the job know. `prefix` is how its request is read: `request`, or `job.request`."""
        echoes = self.echoes(prefix)
        if own is not None:
            echoes |= own.echoes("request")
        names = {words(str(self.id_path[-1])), *self.wanted} if self.id_path else set()
        return Perspective(
            echoes={name: echo for name, echo in echoes.items() if name not in names or self.id_path is None},
            id=self.id,
            id_names=frozenset(names | ({"id"} if self.id_path else set())),
            statuses=frozenset(self.course.statuses if self.course else ()),
            created="now" if prefix == "request" and not is_webhook else "job.created_at",
            is_webhook=is_webhook,
        )

    def echoes(self, prefix: str) -> dict[str, tuple[str, Any]]:
        """Return the expressions of what the request has, with examples, by the words of their names."""
        found: dict[str, tuple[str, Any]] = {}
        for one in self.operation.parameters:
            place, name = one.get("in"), str(one["name"])
            if place in ("query", "path"):
                read = member(f"{prefix}.{place}", capture(name) if place == "path" else name)
                found.setdefault(words(name), (read, ""))
        if self.request.kind in ("json", "form", "multipart"):
            example = as_map(self.request.sample.value)
            media = flat_schema(self.operation.document, self.request.media.get("schema"))
            for name in {**example, **as_map(media.get("properties"))}:
                found[words(name)] = member(f"{prefix}.{self.request_kind}", name), example.get(name)
        return found

    @property
    def request_kind(self) -> str:
        return (
            "form" if self.request.kind in ("form", "multipart") else "json" if self.request.kind == "json" else "text"
        )


def _hooks(operation: Operation, choice: Choice) -> tuple[Sequence[Hook], Sequence[Hook]]:
    """Return what an operation sends, and its callbacks that stay unused: documents do not say when each one is sent."""
    chosen = choice.hooks.get(operation.name)
    used = operation.callbacks[:1] if chosen is None else chosen
    return used, [hook for hook in operation.callbacks if hook not in used]


class _MockMaker:
    """Makes the mock of one operation. `start` is the operation that starts the jobs that it is about, if there is one."""

    def __init__(self, document: Document, life: _Life, start: _Life | None) -> None:
        self.document = document
        self.life = life
        self.start = start
        self.comments: list[str] = []

    def make(self, match: str, when: str | None) -> tuple[list[str], dict[str, Any]]:
        """Return the comments and the mock."""
        life, start = self.life, self.start
        mock: dict[str, Any] = {"match": match, **({"when": when} if when else {})}
        if start is not None:
            mock["lookup"] = f"request.path.{self._captured(start)}"
            known = start.perspective("job.request", own=life)
            id_path = life.body.id_path(start.wanted)
        else:
            known = life.perspective("request")
            id_path = life.id_path if life.starts else None
            if not life.starts:
                known = Perspective(echoes=known.echoes)
            elif job := self._job():
                mock["job"] = job
        response = self._response(known, id_path, match)
        if response:
            mock["response"] = response
        mock |= self._stages(known, response)
        if start is None and life.starts and not {"job", "stages", "webhook"} & mock.keys():
            mock["job"] = {}
        return self.comments, mock

    def _captured(self, start: _Life) -> str:
        segment = self.life.operation.path.split("/")[len(start.operation.path.rstrip("/").split("/"))]
        return capture(re.findall(r"\{([^{}]*)\}", segment)[0])

    def _job(self) -> dict[str, Any]:
        if self.life.id_path is None:
            return {}
        made = new_id(self.life.id, self.life.body.sample.schema(self.life.id_path))
        return {} if made is None else {"id": made}

    def _response(self, known: Perspective, id_path: KeyPath | None, match: str) -> dict[str, Any]:
        life = self.life
        written = life.body.written(known, id_path)
        found = headers(
            self.document, as_map(life.response.get("headers")), life.body.content_type if written else None
        )
        if life.starts and life.id_path is None and "location" in found:
            found["location"] = f"{match.partition(' ')[2].partition('{')[0].rstrip('/')}/{{{{ job.id }}}}"
        status = life.status if 200 <= life.status <= 599 else 200
        return {
            **({"status": status} if status != 200 else {}),
            **({"headers": found} if found else {}),
            **(written if status not in (204, 304) else {}),
        }

    # Stages and webhooks

    def _stages(self, known: Perspective, response: Mapping[str, Any]) -> dict[str, Any]:
        life = self.life
        sent = [self._webhook(hook, response) for hook in life.hooks]
        self._note_unused(response)
        statuses = self._statuses()
        if not statuses:
            if len(sent) == 1 and self.start is None:
                return {"webhook": {"after": f"{STEP}s", **sent[0]}}
            return (
                {"stages": [{"after": f"{STEP * (at + 1)}s", "webhook": one} for at, one in enumerate(sent)]}
                if sent
                else {}
            )
        stages: list[dict[str, Any]] = [{"status": statuses[0]}]
        stages += [{"after": f"{STEP * at}s", "status": status} for at, status in enumerate(statuses[1:], 1)]
        first, *more = sent or [None]
        if first is not None:
            stages[-1]["webhook"] = first if more else True
            if len(statuses) == 1:
                stages.append({"after": f"{STEP}s", "webhook": stages[-1].pop("webhook")})
        end = STEP * len(statuses)
        stages += [{"after": f"{end + STEP * at}s", "webhook": one} for at, one in enumerate(more)]
        return {"stages": stages, **({"webhook": first} if first is not None and not more else {})}

    def _statuses(self) -> Sequence[str]:
        """Return the statuses of the stages, and say what was guessed."""
        life = self.life
        if self.start is not None:
            if self.start.course is None:
                return ()
            hint = f"{life.operation.method} {life.operation.path} {life.operation.data.get('operationId', '')}"
            status = canceled([*self.start.course.statuses, *self.start.course.others], hint)
            return () if status is None or life.operation.method == "GET" else (status,)
        if not life.starts or life.course is None:
            return ()
        others = f"; it may also be {', '.join(life.course.others)}" if life.course.others else ""
        self.comments.append(f"guessed: the order of the statuses, and {STEP} s between them{others}")
        return life.course.statuses

    def _webhook(self, hook: Hook, response: Mapping[str, Any]) -> dict[str, Any]:
        about = self.start or self.life
        document = self.document
        body = Body(document, as_map(document.map(hook.data.get("requestBody")).get("content")))
        described = [document.map(one) for one in as_list(hook.data.get("parameters"))]
        prefix = "request" if self.start is None else "job.request"
        written = body.written(about.perspective(prefix, is_webhook=True))
        if body.kind == "json" and about.id_path is not None and "{{ job.id }}" not in str(written):
            self.comments.append(f"guessed: no field of the webhook {hook.name} names the job")
        query = parameters(document, [one for one in described if one.get("name")], "query")
        sent = parameters(document, [one for one in described if one.get("name")], "header")
        if body.content_type is not None and written:
            sent["content-type"] = body.content_type
        return {
            "to": self._target(hook, response),
            **({"method": hook.method} if hook.method != "POST" else {}),
            "event": literal(hook.name)[:1000],
            **({"query": query} if query else {}),
            **({"headers": sent} if sent else {}),
            **written,
        }

    def _target(self, hook: Hook, response: Mapping[str, Any]) -> str:
        body = f"request.{self.life.request_kind}"
        if hook.url is None:
            echoes = (self.start or self.life).echoes("request" if self.start is None else "job.request")
            named = next((read for name, (read, _) in echoes.items() if _URL_NAME.fullmatch(name)), None)
            if named is None:
                return CALLBACK_URL
            self.comments.append(f"guessed: {hook.name} goes to the URL in {named}")
            return f"{{{{ {named} or env.CALLBACK_URL }}}}"
        try:
            made = translate(hook.url, body, lambda path: _in_response(path, response))
        except NotUnderstood as error:
            self.comments.append(f"guessed: {hook.name} goes to CALLBACK_URL: {error}")
            return CALLBACK_URL
        if re.match(r"https?://|\{\{", made):
            return made
        self.comments.append(f"guessed: {hook.name} goes to CALLBACK_URL: the document names no URL")
        return CALLBACK_URL

    def _note_unused(self, response: Mapping[str, Any]) -> None:
        """Write the callbacks that are not sent as comments: the document does not say when each one is sent."""
        for hook in self.life.unused:
            operation = self.life.operation.name
            self.comments.append(
                f"not sent: the callback {hook.name}, here as a stage; or --on '{operation}={hook.name}'"
            )
            stage = {"after": f"{STEP}s", "webhook": self._webhook(hook, response)}
            self.comments += [f"  {line}" for line in yaml_text.lines([stage])]


def _in_response(path: Sequence[str], response: Mapping[str, Any]) -> str | None:
    """Return the template of a value of a response, None if it has none there."""
    place, *names = path
    value: Any = as_map(response.get("headers")).get(names[0]) if place == "headers" else response.get("json")
    for name in names if place == "body" else ():
        if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            value = as_map(value).get(name)
    return None if value is None or isinstance(value, (dict, list)) else str(value)


def _at(value: Any, path: KeyPath | None) -> Any:
    for part in path or ():
        value = value[part]
    return value if path else None


def _singular(name: str) -> str:
    return f"{name[:-3]}y" if name.endswith("ies") else name[:-1] if name.endswith("s") and name[-2:] != "ss" else name
