"""PURE: what an OpenAPI document says of an operation, and of the jobs that it starts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latehook.importing.openapi.bodies import Body
from latehook.importing.openapi.matches import is_below, segments
from latehook.importing.openapi.runtime_expressions import capture, member
from latehook.importing.openapi.statuses import Course, course
from latehook.importing.openapi.values import Perspective, is_status_path, scalars, words
from latehook.openapi.document import as_list, as_map
from latehook.openapi.operations import Hook, Operation
from latehook.openapi.samples import KeyPath, flat_schema


@dataclass
class Choice:
    """What the user chose: operations of `all`, and what some of them send, by their names. `host` may be None."""

    all: Sequence[Operation]
    operations: Sequence[Operation]
    hooks: Mapping[str, Sequence[Hook]]
    host: str | None = None


class Life:
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
        has_life = self.id_path is not None and (bool(chosen) or (self.course is not None and bool(about)))
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
            words(found[1]) for one in about if (found := re.search(r"\{([^{}]*)\}", one.path.split("/")[len(own) + 1]))
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

    def perspective(self, prefix: str, is_webhook: bool = False, own: "Life | None" = None) -> Perspective:
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
    """Return what an operation sends, and its callbacks that stay unused: no document says when each is sent."""
    chosen = choice.hooks.get(operation.name)
    used = operation.callbacks[:1] if chosen is None else chosen
    return used, [hook for hook in operation.callbacks if hook not in used]


def _at(value: Any, path: KeyPath | None) -> Any:
    for part in path or ():
        value = value[part]
    return value if path else None


def _singular(name: str) -> str:
    return f"{name[:-3]}y" if name.endswith("ies") else name[:-1] if name.endswith("s") and name[-2:] != "ss" else name
