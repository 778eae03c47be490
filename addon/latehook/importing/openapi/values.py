"""PURE: example values of an OpenAPI document, as templates: ids, statuses, times, echoes of the request, literals."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from latehook.base.json_text import encode_json
from latehook.importing.exchanges import KeyPath
from latehook.importing.scrubbing import Scrubber, snake
from latehook.importing.shapes import generator, is_opaque, literal
from latehook.openapi.samples import Sample, is_time

WRAPPERS = frozenset(("data", "object", "payload", "result", "resource", "body", "attributes", "details", "event"))
"""Names of maps that only stand around what a message is about."""
MAX_DEFAULT_LENGTH = 80
"""Characters of an example that stands in an expression, as the value where the request has none."""

_STATUS = re.compile(r"(^|_)(status|state|phase)$")
_ENVELOPE = ("type", "event", "event_type", "eventtype", "topic")
_WORDS = re.compile(r"[A-Za-z0-9]+")
_CLEAN = Scrubber((), {})


def words(name: str) -> str:
    """Return a name without what the ways of writing it differ in: `transcript_id` and `transcriptId` are one."""
    return "".join(_WORDS.findall(name)).lower()


@dataclass(frozen=True)
class Perspective:
    """What is known when a message is written.

    `echoes` are what a request has, by the words of its names: an expression, and an example. `id` is the job's id in
    the example of the response, `id_names` the words of the fields that hold it. `statuses` are those of the job's
    stages. `created` is the expression of the time at which the job was made.
    """

    echoes: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    id: Any = None
    id_names: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    created: str = "now"
    is_webhook: bool = False


def templates(sample: Sample, perspective: Perspective, id_path: KeyPath | None = None) -> Any:
    """Return a value as a mocks file has it. `id_path` is where the job's id stands in it."""
    return _Templates(sample, perspective, id_path).of(sample.value, ())


class _Templates:
    def __init__(self, sample: Sample, perspective: Perspective, id_path: KeyPath | None) -> None:
        self.sample = sample
        self.known = perspective
        self.id_path = id_path
        top = sample.value if isinstance(sample.value, dict) else {}
        self.is_cloud_event = "specversion" in top
        self.is_envelope = any(key.lower() in _ENVELOPE for key in top) and any(
            key.lower() in WRAPPERS and isinstance(value, dict) for key, value in top.items()
        )

    def of(self, value: Any, path: KeyPath) -> Any:
        if isinstance(value, (dict, list)) and path and (echo := self._echo(value, path)) is not None:
            return echo
        if isinstance(value, dict):
            if any("{{" in name for name in value):  # in a mocks file, a name cannot have it
                return _from_json(value)
            return {name: self.of(item, (*path, name)) for name, item in value.items()}
        if isinstance(value, list):
            return [self.of(item, (*path, at)) for at, item in enumerate(value)]
        return self._scalar(value, path)

    def _scalar(self, value: Any, path: KeyPath) -> Any:
        if self._is_id(value, path):
            return "{{ job.id | int }}" if isinstance(value, int) else "{{ job.id }}"
        key = snake(path[-1]) if path else ""
        if self.known.is_webhook and len(path) == 1 and key == "id" and (self.is_cloud_event or self.is_envelope):
            return "{{ webhook.id }}"
        if self._is_status(value, path):
            return "{{ job.status }}"
        if (echo := self._echo(value, path)) is not None:
            return echo
        if is_time(value, self.sample.schema(path)):
            return f"{{{{ {_moment(key, self.known)} | iso8601 }}}}"
        if self.sample.schema(path).get("format") == "date" and isinstance(value, str) and "birth" not in key:
            return "{{ now | strftime('%Y-%m-%d') }}"
        return self._literal(value)

    def _is_id(self, value: Any, path: KeyPath) -> bool:
        if self.id_path is not None and path == self.id_path:
            return True
        if value is None or isinstance(value, (bool, float)) or not path or not isinstance(path[-1], str):
            return False
        if self.known.id is not None and is_opaque(value) and value == self.known.id:
            return True
        name, parents = words(path[-1]), [words(part) for part in path[:-1] if isinstance(part, str)]
        if any(isinstance(part, int) for part in path):
            return False
        if name == "id":
            if self.is_cloud_event or self.is_envelope:
                return len(path) == 2 and parents[0] in WRAPPERS
            about = [parent for parent in parents if parent not in WRAPPERS]
            return self.id_path is None and "id" in self.known.id_names and (
                not about or f"{about[-1]}id" in self.known.id_names
            )  # fmt: skip
        return name in self.known.id_names and (self.id_path is None or len(path) == 1)

    def _is_status(self, value: Any, path: KeyPath) -> bool:
        if not isinstance(value, (str, type(None))) or not self.known.statuses or not is_status_path(path):
            return False
        possible = {one for one in self.sample.schema(path).get("enum") or () if isinstance(one, str)}
        return value in self.known.statuses if not possible else self.known.statuses <= possible

    def _echo(self, value: Any, path: KeyPath) -> str | None:
        """Return the expression that repeats what the request had; the example where it had nothing."""
        if not isinstance(path[-1] if path else None, str) or any(
            not isinstance(part, str) or part.lower() not in WRAPPERS for part in path[:-1]
        ):
            return None
        expression, example = self.known.echoes.get(words(str(path[-1])), (None, None))
        if expression is None or not _are_alike(value, example, expression) or self._is_status(value, path):
            return None
        if value is None:
            return f"{{{{ {expression} }}}}"
        default = self._default(value)
        return None if default is None else f"{{{{ {expression} | default({default}) }}}}"

    def _default(self, value: Any) -> str | None:
        """Return an example as an expression; None if it is too long, or has braces."""
        cleaned = self._clean(value)
        text = encode_json(cleaned).decode()
        if len(text) > MAX_DEFAULT_LENGTH or (set(text) & set("{}\\") and text != "{}"):
            return None
        return f"'{cleaned}'" if isinstance(cleaned, str) and "'" not in cleaned else text

    def _clean(self, value: Any) -> Any:
        return _CLEAN.clean_text(value) if isinstance(value, str) else value

    def _literal(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        text = self._clean(value)
        id = self.known.id
        if isinstance(id, str) and len(id) >= 6 and is_opaque(id) and id in text:
            return "{{ job.id }}".join(literal(part) for part in text.split(id))
        return literal(text)


def _from_json(value: Any) -> str:
    """Return an expression that gives this value."""
    text = encode_json(value).decode().replace("\\", "\\\\").replace("'", "\\'")
    return f"{{{{ '{text}' | from_json }}}}"


def _are_alike(value: Any, example: Any, expression: str) -> bool:
    """Return whether a value of a message can be what the request has. What is not JSON there is a text."""
    if ".json" not in expression:
        return isinstance(value, str)
    if value is None or example is None:
        return True
    kinds = [float if type(one) is int else type(one) for one in (value, example)]
    return issubclass(kinds[0], kinds[1]) or issubclass(kinds[1], kinds[0])


def is_status_path(path: KeyPath) -> bool:
    """Return whether a place usually holds a status of what the message is about."""
    return (
        0 < len(path) <= 3
        and all(isinstance(part, str) for part in path)
        and _STATUS.search(snake(path[-1])) is not None
    )


def _moment(key: str, known: Perspective) -> str:
    if re.search(r"expire|until|due|deadline", key):
        return f"({known.created} + 3600)"
    return known.created if re.search(r"creat|submit|request|queued|start|received", key) else "now"


def scalars(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Return the values of a tree that are no lists or maps, with their paths."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from scalars(item, (*path, name))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from scalars(item, (*path, at))
    else:
        yield path, value


def find_id(sample: Sample, wanted: Sequence[str]) -> KeyPath | None:
    """Return where a response has its job's id. `wanted` are words of the names that it may have, the best first."""
    ranked = [*wanted, "id", "uuid", "sid", "guid", "jobid", "requestid", "taskid", "operationid", "sessionid", "token"]
    best: tuple[int, int, KeyPath] | None = None
    for path, value in scalars(sample.value):
        if isinstance(value, (bool, float)) or len(path) > 3 or not all(isinstance(part, str) for part in path):
            continue
        if not path or words(str(path[-1])) not in ranked:
            continue
        place = ranked.index(words(str(path[-1]))), len(path), path
        if best is None or place[:2] < best[:2]:
            best = place
    return best and best[2]


def new_id(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Return the template of a job's id like this one; None if the default, a UUID, is like it."""
    if isinstance(value, int):
        return generator(value)
    if not isinstance(value, str) or schema.get("format") == "uuid" or value in ("string", ""):
        return None
    made = generator(value) if is_opaque(value) else _numbered(value)
    return None if made == "{{ uuid() }}" else made


def _numbered(value: str) -> str | None:
    """Return a template for an id such as `order-17`, whose last number differs; None for other texts."""
    found = re.fullmatch(r"([A-Za-z][\w.-]*?)(\d+)", value)
    return None if found is None else f"{literal(found[1])}{{{{ random.int(10**8, 10**9 - 1) }}}}"
