"""The values of a mocks file compiled: texts to expressions, durations to seconds, files read; each with its place."""

import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from msgspec import UNSET

from latehook.base.durations import Delay, parse_duration
from latehook.base.errors import MocksError, Place
from latehook.base.text import did_you_mean
from latehook.expressions.compiler import Compiler, in_braces
from latehook.expressions.expression import Names, roots_of
from latehook.expressions.names import AT_LOAD, body_members
from latehook.mocks.definitions import BodySpec, FaultSpec, FileSpec
from latehook.mocks.rendering import header_name_problem
from latehook.mocksfile.entries import Bodies, DelayEntry, FaultEntry
from latehook.mocksfile.source import Path as At
from latehook.mocksfile.source import Source

BODY_KINDS = Bodies.__struct_fields__


class Values:
    """Compiles the values of one mock. `reads` and `later` grow: which members of a request need its body.

    `reads` are read of any request, `later` of one that has started a job, when the job is asked for again. `files` are
    the contents of those that were read.
    """

    def __init__(self, source: Source, compiler: Compiler) -> None:
        self.reads: frozenset[str] = frozenset()
        self.later: frozenset[str] = frozenset()
        self.files: list[bytes] = []
        self._source = source
        self._compiler = compiler

    def condition(self, text: Any, at: At, names: Names) -> Any:
        """An expression, which may be written without its braces."""
        return self.compile(in_braces(text) if isinstance(text, str) else text, at, names)

    def when(self, when: Any, at: At, names: Names) -> Any:
        """None where there is no condition, else what decides it."""
        if when is UNSET:
            return None
        compiled = self.condition(when, at, names)
        return compiled if callable(compiled) else bool(compiled)

    def preset[Preset](self, name: str, known: Mapping[str, Preset], at: At, kind: str) -> Preset:
        if name not in known:
            raise self.error(at, f"{name!r} is not {kind}{did_you_mean(name, known)}; there are {', '.join(known)}")
        return known[name]

    def delay(self, delay: Any, at: At) -> Delay:
        if not isinstance(delay, DelayEntry):
            return Delay("fixed", self.seconds(delay, at))
        if (delay.uniform is UNSET) == (delay.lognormal is UNSET):
            raise self.error(at, "write one of {uniform: [5s, 10s]} and {lognormal: {median: 5s, sigma: 0.5}}")
        if isinstance(delay.uniform, tuple):
            least, most = (self.seconds(end, (*at, "uniform", n)) for n, end in enumerate(delay.uniform))
            if least > most:
                raise self.error((*at, "uniform"), f"{least:g} s is more than {most:g} s: write the lesser one first")
            return Delay("uniform", least, most)
        lognormal: Any = delay.lognormal
        median = self.seconds(lognormal.median, (*at, "lognormal", "median"))
        if median == 0 or lognormal.sigma < 0:
            raise self.error((*at, "lognormal"), "the median must be more than 0, and sigma not less")
        return Delay("lognormal", median, lognormal.sigma)

    def fault[Kind: StrEnum](self, fault: Any, at: At, kinds: type[Kind], of: str) -> FaultSpec[Kind] | None:
        """None where nothing is to go wrong."""
        if fault is UNSET:
            return None
        if isinstance(fault, FaultEntry):
            spec = self.fault(fault.kind, (*at, "kind"), kinds, of)
            count = None if fault.count is UNSET else fault.count
            return None if spec is None else replace(spec, chance=fault.chance, count=count)
        kind = self.constant(fault, at)
        if kind is None:
            return None
        return FaultSpec(self.preset(str(kind), {known.value: known for known in kinds}, at, f"a fault of a {of}"))

    def body(self, layers: Sequence[tuple[At, Bodies]], names: Names) -> BodySpec | None:
        """The body of the last layer that has one."""
        for at, entry in reversed(layers):
            kinds = [kind for kind in BODY_KINDS if getattr(entry, kind) is not UNSET]
            if len(kinds) > 1:
                raise self.error(
                    (*at, kinds[1]), f"a body is one of {', '.join(BODY_KINDS)}: {kinds[0]} stands here too"
                )
            if kinds:
                return self._one_body(kinds[0], getattr(entry, kinds[0]), (*at, kinds[0]), names)
        return None

    def _one_body(self, kind: str, value: Any, at: At, names: Names) -> BodySpec:
        place = self.place(at)
        if kind == "file":
            return BodySpec(kind, self._load_file(value, at), place)
        if kind == "multipart" and isinstance(value, dict):
            compiled = {name: self._part(item, (*at, name), names) for name, item in value.items() if item is not None}
            return BodySpec(kind, compiled, place)
        if kind == "json":
            return BodySpec(kind, self._compiler.bundle(self.compile(value, at, names)), place)
        if kind in ("form", "multipart"):
            return BodySpec(kind, self.map(value, at, names), place)
        return BodySpec(kind, self.compile(value, at, names), place)

    def _part(self, item: Any, at: At, names: Names) -> Any:
        if not isinstance(item, dict):
            return self.compile(item, at, names)
        if not item.keys() <= {"file", "filename", "type"} or "file" not in item:
            raise self.error(at, "a file is {file: PATH}, with `filename` and `type` if they are to differ")
        spec = self._load_file(item["file"], (*at, "file"))
        filename = str(self.constant(item.get("filename", spec.filename), (*at, "filename")))
        return FileSpec(spec.content, filename, str(self.constant(item.get("type", spec.type), (*at, "type"))))

    def _load_file(self, name: Any, at: At) -> FileSpec:
        file = self.file(str(self.constant(name, at)), at)
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        content = file.read_bytes()
        self.files.append(content)
        return FileSpec(content, file.name, kind)

    def file(self, name: str, at: At) -> Path:
        """A file that can be read; its name counts from the mocks file's folder."""
        file = Path(self._source.file).parent / Path(name).expanduser()
        try:
            with file.open("rb"):
                return file
        except OSError as error:
            raise self.error(at, f"the file {str(file)!r} cannot be read: {error.strerror}") from None

    def headers(self, layers: Sequence[tuple[At, Any]], names: Names) -> Any:
        compiled = self.layered(layers, names)
        for at, headers in layers:
            for name in headers if isinstance(headers, dict) else ():
                if problem := header_name_problem(name):
                    raise self.error((*at, name), problem)
        return compiled

    def layered(self, layers: Sequence[tuple[At, Any]], names: Names) -> Any:
        """Maps laid over each other, name by name; one that is an expression replaces what is below."""
        merged: Any = {}
        for at, layer in layers:
            compiled = self.map(layer, at, names, keep_nulls=True)
            merged = {**merged, **compiled} if isinstance(compiled, dict) and isinstance(merged, dict) else compiled
        return {k: v for k, v in merged.items() if v is not None} if isinstance(merged, dict) else merged

    def map(self, value: Any, at: At, names: Names, keep_nulls: bool = False) -> Any:
        """A map, or an expression that gives one. A name with null for its value is left out."""
        if isinstance(value, dict):
            value = {name: item for name, item in value.items() if keep_nulls or item is not None}
        compiled = self.compile(value, at, names)
        if not isinstance(compiled, dict) and not callable(compiled):
            raise self.error(at, f"{compiled!r} is not a map, nor an expression that gives one")
        return compiled

    def seconds(self, duration: Any, at: At) -> float:
        try:
            return parse_duration(self.constant(duration, at))
        except ValueError as error:
            raise self.error(at, str(error)) from None

    def constant(self, value: Any, at: At) -> Any:
        """A value that must be known at load: of all names only `env` may stand in it."""
        compiled = self.compile(value, at, AT_LOAD)
        if callable(compiled):  # only where variables may be missing: in a check
            raise self.error(at, f"an environment variable is not set: {value!r}")
        return compiled

    def compile(self, value: Any, at: At, names: Names) -> Any:
        if isinstance(value, str):
            compiled = self._compiler.compile(value, self.place(at), names)
            self._note(roots_of(compiled))
            return compiled
        if isinstance(value, dict):
            for key in value:
                if "{{" in key:
                    raise self.error((*at, key), "a key cannot be an expression: write the map as one expression")
            return {key: self.compile(item, (*at, key), names) for key, item in value.items()}
        if isinstance(value, list):
            return [self.compile(item, (*at, n), names) for n, item in enumerate(value)]
        return value

    def _note(self, roots: frozenset[str]) -> None:
        """Remember what is read of requests, and what of those that started a job."""
        self.reads |= body_members(roots) | body_members(roots, "job.request")
        self.later |= body_members(roots, "job.request")
        if any(root.partition(".")[0] == "jobs" for root in roots) or "job" in roots:
            self.later |= body_members(frozenset({"request"}))

    def place(self, at: At) -> Place:
        return self._source.place(at)

    def error(self, at: At, problem: str) -> MocksError:
        return MocksError(self.place(at), problem)
