"""Compiles single values of a mocks file: texts, durations, faults, bodies, headers. Every error has its place."""

import mimetypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from msgspec import UNSET

from latehook.base.durations import Delay, parse_duration
from latehook.base.errors import BodyError, FileNotSent, MocksError, Place
from latehook.base.text import did_you_mean
from latehook.bodies.charsets import declared_charset
from latehook.bodies.codings import codings_of
from latehook.expressions.body_members import members_read
from latehook.expressions.compiler import Compiler, in_braces
from latehook.expressions.expression import Expression, Names, Render, reads_of
from latehook.expressions.names import AT_LOAD
from latehook.mocks import bodies
from latehook.mocks.bodies import BodySpec, FileSpec
from latehook.mocks.definitions import FaultSpec
from latehook.mocks.rendering import header_name_problem
from latehook.mocks.times import Time
from latehook.mocksfile.shared_entries import Bodies, DelayEntry, FaultEntry
from latehook.mocksfile.source import KeyPath, Source


class Values:
    """Compiles the values of one mock, and collects what they need.

    `body_members` are the members of `request` that need its body and that an expression reads; `kept_members` are
    those that a later request reads of a job's request. `files` are the files that were read: name → content.
    `answers_read` are the places where `job.webhooks.EVENT` is read, each with its EVENT. `reads_answers`: something
    reads the webhooks of a job.
    """

    def __init__(self, source: Source, compiler: Compiler) -> None:
        self.body_members: frozenset[str] = frozenset()
        self.kept_members: frozenset[str] = frozenset()
        self.files: dict[str, bytes] = {}
        self.answers_read: list[tuple[str, Place]] = []
        self.reads_answers = False
        self._source = source
        self._compiler = compiler

    # Texts and expressions

    def compile(self, value: Any, path: KeyPath, names: Names) -> Any:
        """Return a value with every text in it compiled. `names` are those that its expressions may use."""
        if isinstance(value, str):
            compiled = self._compiler.compile(value, self.place(path), names)
            self._collect_members(reads_of(compiled))
            if "webhooks" in value:
                self._collect_events(reads_of(compiled), path)
            return compiled
        if isinstance(value, dict):
            self.check_keys(value, path)
            return {key: self.compile(item, (*path, key), names) for key, item in value.items()}
        if isinstance(value, list):
            return [self.compile(item, (*path, index), names) for index, item in enumerate(value)]
        return value

    def check_keys(self, value: Mapping[str, Any], path: KeyPath) -> None:
        """Refuse a key that is an expression."""
        for key in value:
            if "{{" in key:
                raise self.error((*path, key), "a key cannot be an expression: write the map as one expression")

    def constant(self, value: Any, path: KeyPath) -> Any:
        """Return a value that must be known when the file is loaded: its expressions may use only `env`."""
        compiled = self.compile(value, path, AT_LOAD)
        if callable(compiled):  # `latehook check` accepts variables that are not set, but not here
            raise self.error(
                path, f"{value!r} needs an environment variable that is not set: set it, or write a `default`"
            )
        return compiled

    def condition(self, text: Any, path: KeyPath, names: Names) -> Any:
        """Compile an expression whose braces may be left out."""
        return self.compile(in_braces(text) if isinstance(text, str) else text, path, names)

    def when(self, when: Any, path: KeyPath, names: Names) -> Any:
        """Compile a `when`: None if there is none, else a boolean or an expression."""
        if when is UNSET:
            return None
        compiled = self.condition(when, path, names)
        return compiled if callable(compiled) else bool(compiled)

    def map(self, value: Any, path: KeyPath, names: Names, keep_nulls: bool = False) -> Any:
        """Compile a map, or an expression that gives one. Names with null are left out, unless `keep_nulls`."""
        if isinstance(value, dict):
            value = {name: item for name, item in value.items() if keep_nulls or item is not None}
        compiled = self.compile(value, path, names)
        if not isinstance(compiled, dict) and not callable(compiled):
            raise self.error(path, f"{compiled!r} is not a map: write a map, or one expression that gives a map")
        return compiled

    def merged(self, layers: Sequence[tuple[KeyPath, Any]], names: Names) -> Any:
        """Merge maps by name; later layers win. A layer that is an expression replaces all layers before it."""
        merged: Any = {}
        for path, layer in layers:
            compiled = self.map(layer, path, names, keep_nulls=True)
            merged = {**merged, **compiled} if isinstance(compiled, dict) and isinstance(merged, dict) else compiled
        return {k: v for k, v in merged.items() if v is not None} if isinstance(merged, dict) else merged

    def headers(self, layers: Sequence[tuple[KeyPath, Any]], names: Names) -> Any:
        """Merge maps of headers, and check the headers' names."""
        compiled = self.merged(layers, names)
        for path, headers in layers:
            for name in headers if isinstance(headers, dict) else ():
                if problem := header_name_problem(name):
                    raise self.error((*path, name), problem)
        return compiled

    def check_encoding(self, body: BodySpec | None, headers: Any, layers: Sequence[tuple[KeyPath, Any]]) -> None:
        """Refuse a charset or content coding that is not known, and a body with a text that its charset does not have.

        `headers` are the compiled headers of the message, made of `layers`.
        """
        if not isinstance(headers, dict):
            return
        for name, value in headers.items():
            texts = [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]
            try:
                if name.lower() == "content-encoding":
                    codings_of(texts)
                elif name.lower() == "content-type":
                    charset = declared_charset(texts[0]) if texts else None
                    if body is not None and charset is not None and (problem := body.problem_in(charset)):
                        raise MocksError(body.place, problem)
            except BodyError as error:
                path = next(path for path, layer in reversed(layers) if isinstance(layer, dict) and name in layer)
                raise self.error((*path, name), str(error)) from None

    # Values of other types

    def preset[Preset](self, name: str, presets: Mapping[str, Preset], path: KeyPath, kind: str) -> Preset:
        """Return the preset with this name. `kind` is what errors call it."""
        if name not in presets:
            hint = did_you_mean(name, presets)
            raise self.error(path, f"{name!r} is not {kind}{hint} (possible values: {', '.join(presets)})")
        return presets[name]

    def seconds(self, duration: Any, path: KeyPath) -> float:
        """Return a duration in seconds. It must be known when the file is loaded."""
        return self._parsed(self.constant(duration, path), path)

    def _parsed(self, duration: Any, path: KeyPath) -> float:
        try:
            return parse_duration(duration)
        except ValueError as error:
            raise self.error(path, str(error)) from None

    def time(self, time: Any, path: KeyPath, names: Names) -> Time:
        """Return a fixed or random time, or an expression that gives one, of these names."""
        if isinstance(time, DelayEntry):
            return self._random_time(time, path)
        compiled = self.compile(time, path, names)
        return compiled if isinstance(compiled, Expression) else Delay("fixed", self._parsed(compiled, path))

    def _random_time(self, delay: DelayEntry, path: KeyPath) -> Delay:
        if (delay.uniform is UNSET) == (delay.lognormal is UNSET):
            raise self.error(path, "write one of {uniform: [5s, 10s]} and {lognormal: {median: 5s, sigma: 0.5}}")
        if isinstance(delay.uniform, tuple):
            least, most = (self.seconds(end, (*path, "uniform", index)) for index, end in enumerate(delay.uniform))
            if least > most:
                raise self.error(
                    (*path, "uniform"), f"{least:g} s is more than {most:g} s: write the smaller one first"
                )
            return Delay("uniform", least, most)
        lognormal: Any = delay.lognormal
        median = self.seconds(lognormal.median, (*path, "lognormal", "median"))
        if median == 0 or lognormal.sigma < 0:
            raise self.error((*path, "lognormal"), "write a `median` above 0, and a `sigma` of 0 or more")
        return Delay("lognormal", median, lognormal.sigma)

    def fault[Kind: StrEnum](self, fault: Any, path: KeyPath, kinds: type[Kind], of: str) -> FaultSpec[Kind] | None:
        """Return the fault, one of `kinds`; None if nothing goes wrong. `of` is what has the fault, for errors."""
        if fault is UNSET:
            return None
        if isinstance(fault, FaultEntry):
            spec = self.fault(fault.kind, (*path, "kind"), kinds, of)
            count = None if fault.count is UNSET else fault.count
            return None if spec is None else replace(spec, chance=fault.chance, count=count)
        kind = self.constant(fault, path)
        if kind is None:
            return None
        return FaultSpec(self.preset(str(kind), {kind.value: kind for kind in kinds}, path, f"a fault of a {of}"))

    def renderer(self, compiled: Any) -> Render:
        """Return a function that renders a compiled value faster than `render` does."""
        return self._compiler.renderer(compiled)

    # Bodies and files

    def body(self, layers: Sequence[tuple[KeyPath, Bodies]], names: Names) -> BodySpec | None:
        """Compile the body of the last layer that has one."""
        for path, entry in reversed(layers):
            kinds = [kind for kind in bodies.KINDS if getattr(entry, kind) is not UNSET]
            if len(kinds) > 1:
                problem = f"a body is one of {', '.join(bodies.KINDS)}; there is {kinds[0]} too: remove one of them"
                raise self.error((*path, kinds[1]), problem)
            if kinds:
                return self._body(kinds[0], getattr(entry, kinds[0]), (*path, kinds[0]), names)
        return None

    def _body(self, kind: str, value: Any, path: KeyPath, names: Names) -> BodySpec:
        compile_value: Callable[[Any, KeyPath, Names], Any] = {
            "json": self.compile,
            "xml": self._xml,
            "form": self.map,
            "text": self.compile,
            "file": lambda name, path, _: self._load_file(name, path),
            "multipart": self._multipart,
        }[kind]
        compiled = compile_value(value, path, names)
        return bodies.KINDS[kind](compiled, self.place(path), self.renderer(compiled))

    def _xml(self, value: Any, path: KeyPath, names: Names) -> Any:
        """Compile an XML body, and check what is known of it."""
        from latehook.bodies.xml_writing import XmlError, encode_xml  # as in `mocks.bodies`

        compiled = self.map(value, path, names, keep_nulls=True)
        try:
            encode_xml(compiled)
        except XmlError as error:
            raise self.error((*path, *error.path), str(error)) from None
        return compiled

    def _multipart(self, value: Any, path: KeyPath, names: Names) -> Any:
        if not isinstance(value, dict):
            return self.map(value, path, names)
        return {name: self._field(item, (*path, name), names) for name, item in value.items() if item is not None}

    def _field(self, item: Any, path: KeyPath, names: Names) -> Any:
        """Compile a field of a multipart body: a value or a file."""
        if not isinstance(item, dict):
            return self.compile(item, path, names)
        if not item.keys() <= {"file", "filename", "type"} or "file" not in item:
            raise self.error(path, "a field that is a map is a file: write {file: PATH, filename: NAME, type: TYPE}")
        spec = self._load_file(item["file"], (*path, "file"))
        filename = str(self.constant(item.get("filename", spec.filename), (*path, "filename")))
        return FileSpec(spec.content, filename, str(self.constant(item.get("type", spec.type), (*path, "type"))))

    def _load_file(self, name: Any, path: KeyPath) -> FileSpec:
        name = str(self.constant(name, path))
        content_type = mimetypes.guess_type(Path(name).name)[0] or "application/octet-stream"
        return FileSpec(self.read_file(name, path), Path(name).name, content_type)

    def secret_file(self, name: Any, path: KeyPath) -> str:
        """Return the text of a file with a secret."""
        name = str(self.constant(name, path))
        try:
            return self.read_file(name, path).decode()
        except UnicodeDecodeError:
            raise self.error(path, f"the file {name!r} is not text in UTF-8: write a key in PEM") from None

    def read_file(self, name: str, path: KeyPath) -> bytes:
        """Return the content of a file. `name` is relative to the mocks file; for posted mocks the content was sent."""
        posted = self._source.posted
        if posted is not None:
            if name not in posted:
                raise FileNotSent(self.place(path), name)
            content = posted[name]
        else:
            file = Path(self._source.file).parent / Path(name).expanduser()
            try:
                content = file.read_bytes()
            except OSError as error:
                raise self.error(path, f"the file {str(file)!r} cannot be read: {error.strerror}") from None
        self.files[name] = content
        return content

    # Places

    def place(self, path: KeyPath) -> Place:
        return self._source.place(path)

    def error(self, path: KeyPath, problem: str) -> MocksError:
        return MocksError(self.place(path), problem)

    def _collect_events(self, reads: frozenset[str], path: KeyPath) -> None:
        """Note that an expression may read the webhooks of a job, and of which events."""
        self.reads_answers = True
        events = [name.removeprefix("job.webhooks.") for name in reads if name.startswith("job.webhooks.")]
        self.answers_read += [(event, self.place(path)) for event in sorted(events)]

    def _collect_members(self, reads: frozenset[str]) -> None:
        """Note the members of requests that an expression reads; `reads` are its dotted names."""
        self.body_members |= members_read(reads) | members_read(reads, "job.request")
        self.kept_members |= members_read(reads, "job.request")
        if any(name.partition(".")[0] == "jobs" for name in reads) or "job" in reads:
            self.kept_members |= members_read(frozenset({"request"}))
