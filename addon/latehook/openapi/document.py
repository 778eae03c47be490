"""PURE: an OpenAPI document with the files that it refers to. References are followed when they are needed."""

import posixpath
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from latehook.base.errors import LatehookError
from latehook.base.urls import split_url

CONVERTER = "npx swagger2openapi"


class NotReadable(Exception):
    """A file that a reference names cannot be read. The text is the reason."""


class Document:
    """The data of a document. Nothing is expected to be valid: what is no map counts as an empty one.

    `load` returns the data of another file, whose name is relative to the folder of the document; it raises
    NotReadable. `problems` collects the references that lead to nothing, with the reason.
    """

    def __init__(self, data: Any, file: str, load: Callable[[str], Any]) -> None:
        self.data: dict[str, Any] = _checked(data, file)
        self.problems: dict[str, str] = {}
        self._own = posixpath.basename(file)
        self._load = load
        self._files: dict[str, Any] = {self._own: data}
        self._bases: dict[int, str] = {}  # of maps in other files: the file that they are in
        self._depth = 0

    @property
    def version(self) -> str:
        """The version of OpenAPI, such as 3.1.0."""
        return str(self.data["openapi"])

    def resolve(self, value: Any, with_beside: bool = True) -> tuple[Any, str]:
        """Return what a value stands for, and the reference that leads there last, `""` if it is none.

        What stands beside a `$ref` is added to what it leads to, unless `with_beside` is false.
        """
        beside: dict[str, Any] = {}
        seen: list[str] = []
        while isinstance(value, dict) and isinstance(value.get("$ref"), str):
            file, pointer = self._target(value)
            reference = f"{file}#{pointer}"
            beside = {**value, **beside}
            if reference in seen:
                self.problems[value["$ref"]] = "it leads to itself"
                value = {}
                break
            seen.append(reference)
            value = self._at(file, pointer, value["$ref"])
        beside.pop("$ref", None)
        if beside and with_beside and isinstance(value, dict):
            value = {**value, **beside}
        return value, seen[-1] if seen else ""

    def map(self, value: Any) -> dict[str, Any]:
        """Return the map that a value stands for, an empty one if it stands for none."""
        return as_map(self.resolve(value)[0])

    def _target(self, value: dict[str, Any]) -> tuple[str, str]:
        """Return the file and the pointer that a reference means."""
        reference = value["$ref"].removeprefix(str(self.data.get("$self", "\0")))
        base = self._bases.get(id(value), self._own)
        file, _, pointer = reference.partition("#")
        if not file:
            return base, pointer
        if _is_elsewhere(file):
            return file, pointer
        return posixpath.normpath(posixpath.join(posixpath.dirname(base), unquote(file))), pointer

    def _at(self, file: str, pointer: str, reference: str) -> Any:
        """Return what a pointer leads to in a file, None if it leads to nothing."""
        try:
            value = self._file(file)
        except NotReadable as error:
            self.problems[reference] = str(error)
            return None
        for part in pointer.split("/")[1:]:
            name = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(value, dict) and name not in value and "$ref" in value:
                value = self._inner(value)
            if isinstance(value, dict) and name in value:
                value = value[name]
            elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
                value = value[int(name)]
            else:
                self.problems[reference] = f"there is no {name!r}"
                return None
        if pointer and not pointer.startswith("/"):
            self.problems[reference] = "a name behind # is not followed: write a path, such as #/components/schemas/X"
            return None
        return value

    def _inner(self, value: Any) -> Any:
        """Return what a reference on the way of another one leads to."""
        if self._depth > 20:
            return None
        self._depth += 1
        try:
            return self.resolve(value)[0]
        finally:
            self._depth -= 1

    def _file(self, file: str) -> Any:
        if file not in self._files:
            if _is_elsewhere(file):
                raise NotReadable("only files beside the document are read, nothing is fetched from elsewhere")
            self._files[file] = data = self._load(file)
            self._note_base(data, file)
        return self._files[file]

    def _note_base(self, data: Any, file: str) -> None:
        """Remember of all references in a file that they are relative to it."""
        rest = [data]
        while rest:
            value = rest.pop()
            if isinstance(value, dict):
                if "$ref" in value:
                    if id(value) in self._bases:
                        continue
                    self._bases[id(value)] = file
                rest += [item for item in value.values() if isinstance(item, (dict, list))]
            elif isinstance(value, list):
                rest += [item for item in value if isinstance(item, (dict, list))]


def _is_elsewhere(file: str) -> bool:
    """Return whether a reference names something that is not below the document's folder: a URL, or what is none."""
    parts = split_url(file)
    return parts is None or bool(parts.scheme) or file.startswith("/")


def as_map(value: Any) -> dict[str, Any]:
    """Return a value if it is a map, otherwise an empty map."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """Return a value if it is a list, otherwise an empty list."""
    return value if isinstance(value, list) else []


def _checked(data: Any, file: str) -> dict[str, Any]:
    """Return the data of a document. Raises LatehookError if it is none of OpenAPI 3."""
    found = as_map(data)
    if str(found.get("swagger", "")):
        raise LatehookError(
            f"{file} is Swagger {found['swagger']}, which has no callbacks: convert it to OpenAPI 3 first, for example "
            f"with `{CONVERTER} {file}`"
        )
    if "openapi" not in found:
        other = "an AsyncAPI document" if "asyncapi" in found else "no OpenAPI document: it has no key `openapi`"
        raise LatehookError(f"{file} is {other}; Latehook reads OpenAPI 3.0, 3.1 and 3.2")
    if str(found["openapi"]).partition(".")[0] != "3":
        raise LatehookError(f"{file} is OpenAPI {found['openapi']}: Latehook reads OpenAPI 3.0, 3.1 and 3.2")
    return found
