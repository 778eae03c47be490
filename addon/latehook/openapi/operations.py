"""PURE: the operations, callbacks, webhooks and servers of an OpenAPI document."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from latehook.base.urls import split_url
from latehook.openapi.document import Document, as_list, as_map

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
_WEBHOOKS = ("webhooks", "x-webhooks")


@dataclass(frozen=True)
class Hook:
    """A request of the provider to the system: a callback, or a webhook of which no operation is named.

    `url` is a callback's runtime expression, None for a webhook. `data` is its operation.
    """

    name: str
    method: str
    url: str | None
    data: dict[str, Any]


@dataclass(frozen=True)
class Server:
    """Where operations are: `path` is in front of their paths. `authority` is empty if the document does not say it."""

    scheme: str
    authority: str
    path: str


@dataclass(eq=False)
class Operation:
    """A method of a path. `parameters` are all of it, resolved."""

    document: Document
    method: str
    path: str
    item: dict[str, Any]
    data: dict[str, Any]
    parameters: list[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        both = [*as_list(self.item.get("parameters")), *as_list(self.data.get("parameters"))]
        named = {(one.get("in"), one.get("name")): one for one in map(self.document.map, both)}
        self.parameters = [one for one in named.values() if isinstance(one.get("name"), str)]

    @property
    def name(self) -> str:
        """Method and path, as users name the operation."""
        return f"{self.method} {self.path}"

    @cached_property
    def callbacks(self) -> list[Hook]:
        """All requests that the operation's callbacks describe."""
        found = []
        for name, callback in self.document.map(self.data.get("callbacks")).items():
            for url, item in self.document.map(callback).items():
                if not url.startswith("x-"):
                    found += [
                        Hook(name, method, url, data)
                        for method, data in _methods(self.document.map(item), self.document)
                    ]
        return found

    @cached_property
    def servers(self) -> list[Server]:
        """The servers of the operation; one without a host if the document names none."""
        for owner in (self.data, self.item, self.document.data):
            found = [_server(as_map(one)) for one in as_list(owner.get("servers")) if as_map(one).get("url")]
            if found:
                return found
        return [Server("https", "", "")]

    def request_body(self) -> dict[str, Any]:
        """Return the media types of the request."""
        return as_map(self.document.map(self.data.get("requestBody")).get("content"))

    def response(self) -> tuple[int, dict[str, Any]]:
        """Return the status and the data of the response when all goes well."""
        responses = {str(code).upper(): value for code, value in self.document.map(self.data.get("responses")).items()}
        for pattern in (r"2\d\d", "2XX", "DEFAULT", r"3\d\d", r"[45]\d\d"):
            for code, value in responses.items():
                if re.fullmatch(pattern, code):
                    return (int(code) if code.isdigit() else 200), self.document.map(value)
        return 200, {}


def operations(document: Document) -> list[Operation]:
    """Return all operations of a document, in its order."""
    found = []
    for path, item in as_map(document.data.get("paths")).items():
        if path.startswith("x-"):
            continue
        resolved = document.map(item)
        for method, data in _methods(resolved, document):
            found.append(Operation(document, method, path if path.startswith("/") else f"/{path}", resolved, data))
    return found


def webhooks(document: Document) -> list[Hook]:
    """Return the webhooks of which no operation is named."""
    return [
        Hook(name, method, None, data)
        for key in _WEBHOOKS
        for name, item in as_map(document.data.get(key)).items()
        for method, data in _methods(document.map(item), document)
    ]


def _methods(item: dict[str, Any], document: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, value in item.items():
        if key.lower() in METHODS and isinstance(value, dict):
            yield key.upper(), document.map(value)
    for key, value in as_map(item.get("additionalOperations")).items():
        if isinstance(value, dict):
            yield key.upper(), document.map(value)


def _server(data: dict[str, Any]) -> Server:
    """Return a server, with the default values of its variables."""
    variables = as_map(data.get("variables"))

    def default(found: re.Match[str]) -> str:
        variable = as_map(variables.get(found[1]))
        value = variable.get("default", next(iter(as_list(variable.get("enum"))), None))
        return found[0] if value is None else str(value)

    url = re.sub(r"\{([^{}]*)\}", default, str(data["url"])).strip()
    url = re.sub(r"^\{[^{}]*\}", "", url)  # {apiRoot}/v1: only the host is missing
    parts = split_url(url)
    if parts is None:
        return Server("https", "", "")
    path = parts.path.strip("/")
    authority = "" if "{" in parts.netloc else parts.netloc.rpartition("@")[2]
    scheme = parts.scheme.lower() if parts.scheme.lower() in ("http", "https") else "https"
    return Server(scheme, authority, f"/{path}" if path else "")
