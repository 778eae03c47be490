"""PURE: which requests a mock answers, by method, scheme, host, port and path."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from latehook.base.hostnames import DEFAULT_PORTS, canonical_host, host_matches

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "ANY")
_MATCH = re.compile(
    r"(?P<methods>[A-Za-z]+(?:\|[A-Za-z]+)*)\s+"
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s/:?#\[\]]+)"
    r"(?::(?P<port>[^\s/?#]*))?"
    r"(?P<path>/\S*)?",
)
_CAPTURE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a path: a literal, or a pattern with captures, whose names do not count in its `shape`."""

    literal: str | None
    pattern: re.Pattern[str] | None = None
    shape: tuple[str, ...] = ()

    @property
    def takes_any(self) -> bool:
        return self.shape == ("", "")


@dataclass(frozen=True, slots=True)
class Matcher:
    """A `match`, parsed. `methods` is None for ANY, `port` and `scheme` are None where any will do."""

    text: str
    methods: frozenset[str] | None
    scheme: str | None
    host: str
    port: int | None
    segments: tuple[Segment, ...]
    matches_rest: bool

    @property
    def path(self) -> str:
        return "/" + self.text.partition("://")[2 if "://" in self.text else 0].partition("/")[2]

    @property
    def captures(self) -> frozenset[str]:
        """The names of what the path captures."""
        patterns = (segment.pattern for segment in self.segments if segment.pattern is not None)
        return frozenset(name for pattern in patterns for name in pattern.groupindex)

    @property
    def first_literal(self) -> str | None:
        """The first segment, where it is a literal: only a match with the same one, or with none, can take the same."""
        return self.segments[0].literal if self.segments else None

    def matches_origin(self, scheme: str, port: int) -> bool:
        return self.scheme in (None, scheme) and self.port in (None, port)

    def matches_method(self, method: str) -> bool:
        """HEAD is taken by what takes GET."""
        return self.methods is None or method in self.methods or (method == "HEAD" and "GET" in self.methods)

    def is_implicit_head(self, method: str) -> bool:
        """Whether the method is a HEAD that the mock takes but does not name: it gets no body and starts no job."""
        return method == "HEAD" and (self.methods is None or "HEAD" not in self.methods)


def parse(text: str) -> Matcher:
    """Read `METHOD[|METHOD…] [scheme://]host[:port]/path`. ValueError says what is wrong, and what to write."""
    shape = "write METHOD [scheme://]host[:port]/path, such as POST https://api.slow.example/jobs"
    found = _MATCH.fullmatch(text.strip())
    if found is None:
        reason = "leave the query out and use `when`" if "?" in text else shape
        raise ValueError(f"{text!r} is not a match: {reason}")
    path = found["path"]
    if path is None:
        raise ValueError(f"{text!r} has no path: {shape} (/** takes every path)")
    if "?" in path or "#" in path:
        raise ValueError(f"{text!r} has a query or fragment: leave it out and use `when`")
    methods = _methods(text, found["methods"].upper().split("|"))
    segments, matches_rest = _segments(text, path)
    return Matcher(
        text=text.strip(),
        methods=methods,
        scheme=_scheme(text, found["scheme"]),
        host=_host(text, found["host"]),
        port=_port(text, found["port"]),
        segments=segments,
        matches_rest=matches_rest,
    )


def _methods(text: str, methods: list[str]) -> frozenset[str] | None:
    for method in methods:
        near = difflib.get_close_matches(method, METHODS, n=1, cutoff=0.7)
        if near and method not in METHODS:  # one that is like none of them may be meant
            raise ValueError(f"{text!r} has the method {method!r}; did you mean {near[0]!r}?")
    return None if "ANY" in methods else frozenset(methods)


def _scheme(text: str, scheme: str | None) -> str | None:
    if scheme is not None and scheme.lower() not in DEFAULT_PORTS:
        raise ValueError(f"{text!r} has the scheme {scheme!r}: write http or https, or leave it out for both")
    return scheme and scheme.lower()


def _host(text: str, host: str) -> str:
    if "*" in host.removeprefix("*."):
        raise ValueError(
            f"{text!r} has the host {host!r}: a * stands for whole labels at the front, as in *.slow.example"
        )
    return f"*.{canonical_host(host[2:])}" if host.startswith("*.") else canonical_host(host)


def _port(text: str, port: str | None) -> int | None:
    if port is None:
        return None
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r} has the port {port!r}: write a number from 1 to 65535")
    return int(port)


def _segments(text: str, path: str) -> tuple[tuple[Segment, ...], bool]:
    parts = path.split("/")[1:]
    matches_rest = parts[-1] == "**"
    if matches_rest:
        parts.pop()
    if any("**" in part for part in parts):
        raise ValueError(f"{text!r}: ** takes the rest of a path, so it can only be its last segment")
    for part in parts:
        if part == "*" or re.fullmatch(r":\w+", part):
            raise ValueError(f"{text!r}: {part!r} stands for no segment: write {{{part.strip(':*') or 'name'}}}")
    names = [name for part in parts for name in _CAPTURE.findall(part)]
    for name in names:
        if not name.isidentifier():
            raise ValueError(f"{text!r}: {{{name}}} is not a name: use letters, digits and _")
        if names.count(name) > 1:
            raise ValueError(f"{text!r}: {{{name}}} stands twice: give each part of the path its own name")
    return tuple(_segment(text, part) for part in parts), matches_rest


def _segment(text: str, part: str) -> Segment:
    pieces = _CAPTURE.split(part)  # literal, name, literal, name, … literal
    if any("{" in literal or "}" in literal for literal in pieces[::2]):
        raise ValueError(f"{text!r}: {part!r} has a brace without its twin")
    if len(pieces) == 1:
        return Segment(unquote(part))
    literals = tuple(map(unquote, pieces[::2]))
    return Segment(None, re.compile(_pattern(literals, pieces[1::2]), re.DOTALL), literals)


def _pattern(literals: Sequence[str], names: Sequence[str]) -> str:
    """Each capture ends where the literal behind it first stands; the last one takes what is left.

    A capture that has ended is not made longer again (`(?>…)`): it would not help, and takes long for a long segment.
    """
    first, *others = map(re.escape, literals)
    *before, last = [f"(?P<{name}>.+?){literal}" for name, literal in zip(names, others, strict=True)]
    return first + "".join(f"(?>{capture})" for capture in before) + last


def covers(first: Matcher, second: Matcher) -> bool:
    """Return whether `first` matches every request that `second` matches; False if that is not certain."""
    if first.methods is not None and not (second.methods is not None and second.methods <= first.methods):
        return False
    if first.scheme not in (None, second.scheme) or first.port not in (None, second.port):
        return False
    host = second.host.removeprefix("*")
    if not (host_matches(first.host, host) if first.host.startswith("*.") else first.host == second.host):
        return False
    ours, theirs = first.segments, second.segments
    if first.matches_rest:
        if len(theirs) < len(ours) or (len(theirs) == len(ours) and not second.matches_rest):
            return False
    elif second.matches_rest or len(ours) != len(theirs):
        return False
    return all(_wider(a, b) for a, b in zip(ours, theirs, strict=False))


def _wider(first: Segment, second: Segment) -> bool:
    if first.pattern is None:
        return second.pattern is None and first.literal == second.literal
    if first.takes_any:
        return second.pattern is not None or second.literal != ""
    if second.pattern is None:
        return first.pattern.fullmatch(second.literal or "") is not None
    return first.shape == second.shape
