"""PURE: the mocks of chosen operations of an OpenAPI document."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from latehook.importing import yaml_text
from latehook.importing.exchanges import KeyPath
from latehook.importing.openapi.bodies import Body, headers, parameters
from latehook.importing.openapi.lives import Choice, Life
from latehook.importing.openapi.matches import is_below, match_of, order, segments
from latehook.importing.openapi.runtime_expressions import NotUnderstood, capture, translate
from latehook.importing.openapi.statuses import canceled
from latehook.importing.openapi.values import Perspective, new_id
from latehook.importing.shapes import literal
from latehook.openapi.document import Document, as_list, as_map
from latehook.openapi.operations import Hook

CALLBACK_URL = "{{ env.CALLBACK_URL }}"
STEP = 5
"""Seconds between the stages: documents do not say any time."""

_URL_NAME = re.compile(r"(callback|webhook|hook|notif|sink|ipn).*(url|uri|endpoint)?$|^(url|uri)$")


@dataclass
class Imported:
    """The mocks with the lines of their comments, and what was left out, with the reason."""

    mocks: list[tuple[list[str], dict[str, Any]]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def import_(document: Document, choice: Choice) -> Imported:
    """Return the mocks of the chosen operations. Raises LatehookError."""
    result = Imported()
    lives = [Life(one, choice) for one in choice.operations]
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


class _MockMaker:
    """Makes the mock of an operation. `start` is the one that starts the jobs that it is about, if there is one."""

    def __init__(self, document: Document, life: Life, start: Life | None) -> None:
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
        response = self._response(known, id_path)
        if response:
            mock["response"] = response
        mock |= self._stages(known, response)
        if start is None and life.starts and not {"job", "stages", "webhook"} & mock.keys():
            mock["job"] = {}
        return self.comments, mock

    def _captured(self, start: Life) -> str:
        segment = self.life.operation.path.split("/")[len(start.operation.path.rstrip("/").split("/"))]
        return capture(re.findall(r"\{([^{}]*)\}", segment)[0])

    def _job(self) -> dict[str, Any]:
        if self.life.id_path is None:
            return {}
        made = new_id(self.life.id, self.life.body.sample.schema(self.life.id_path))
        return {} if made is None else {"id": made}

    def _response(self, known: Perspective, id_path: KeyPath | None) -> dict[str, Any]:
        life = self.life
        written = life.body.written(known, id_path)
        found = headers(
            self.document, as_map(life.response.get("headers")), life.body.content_type if written else None
        )
        if life.starts and life.id_path is None and "location" in found:
            found["location"] = "{{ request.url }}/{{ job.id }}"
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
        if not statuses and len(sent) == 1 and self.start is None:
            return {"webhook": {"after": f"{STEP}s", **sent[0]}}
        stages = [{**_after(STEP * at), "status": status} for at, status in enumerate(statuses)]
        if len(statuses) > 1 and len(sent) == 1:  # most mocks: the webhook stands beside its stages
            stages[-1]["webhook"] = True
            return {"stages": stages, "webhook": sent[0]}
        if len(statuses) > 1 and sent:
            stages[-1]["webhook"] = sent.pop(0)
        start = max(STEP * len(statuses), STEP)
        stages += [{**_after(start + STEP * at), "webhook": one} for at, one in enumerate(sent)]
        return {"stages": stages} if stages else {}

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
        names_job = about.id_path is None or "{{ job.id }}" in str(written)
        if hook in self.life.hooks and body.kind == "json" and not names_job:
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


def _after(seconds: int) -> dict[str, Any]:
    return {"after": f"{seconds}s"} if seconds else {}


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
