"""PURE: `match`, parsed: which requests a mock answers, by method, scheme, host, port and path."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from latehook.base.hostnames import DEFAULT_PORTS, canonical_host, host_matches
from latehook.base.text import did_you_mean

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "ANY")
MATCH_HINT = "write METHOD [scheme://]host[:port]/path, such as POST https://api.slow.example/jobs"
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
    """One segment of a path: a literal, or a pattern with captures.

    `literals` are the texts in front of, between and behind the captures. Two patterns with the same ones match alike.
    """

    literal: str | None
    pattern: re.Pattern[str] | None = None
    literals: tuple[str, ...] = ()

    @property
    def matches_all(self) -> bool:
        """Whether the segment is one capture and nothing else."""
        return self.literals == ("", "")


@dataclass(frozen=True, slots=True)
class Matcher:
    """A `match`, parsed. `methods` is None for ANY; a `port` or `scheme` of None matches every one.

    `segments` are those of the path. With `matches_rest` (`**`) they match every longer path too.
    """

    text: str
    methods: frozenset[str] | None
    scheme: str | None
    host: str
    port: int | None
    segments: tuple[Segment, ...]
    matches_rest: bool

    @property
    def path(self) -> str:
        """The path as it is written."""
        return "/" + self.text.partition("://")[2 if "://" in self.text else 0].partition("/")[2]

    @property
    def captures(self) -> frozenset[str]:
        """The names of the path's captures."""
        patterns = (segment.pattern for segment in self.segments if segment.pattern is not None)
        return frozenset(name for pattern in patterns for name in pattern.groupindex)

    def matches_origin(self, scheme: str, port: int) -> bool:
        """Return whether scheme and port match. The host is matched by the router."""
        return self.scheme in (None, scheme) and self.port in (None, port)

    def matches_method(self, method: str) -> bool:
        """Return whether the method matches; HEAD also does where GET does."""
        return self.methods is None or method in self.methods or (method == "HEAD" and "GET" in self.methods)

    def is_implicit_head(self, method: str) -> bool:
        """Return whether the method is a HEAD that `match` does not name: it gets no body and starts no job."""
        return method == "HEAD" and (self.methods is None or "HEAD" not in self.methods)


def parse(text: str) -> Matcher:
    """Parse `METHOD[|METHOD…] [scheme://]host[:port]/path`. Raises ValueError with what is wrong and what to write."""
    found = _MATCH.fullmatch(text.strip())
    if found is None:
        reason = "leave the query out and use `when`" if "?" in text else MATCH_HINT
        raise ValueError(f"{text!r} is not a match: {reason}")
    path = found["path"]
    if path is None:
        raise ValueError(f"{text!r} has no path: {MATCH_HINT} (/** matches every path)")
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
        hint = did_you_mean(method, METHODS)
        if hint and method not in METHODS:  # a method that resembles none of them is one of the user's own
            raise ValueError(f"{text!r} has the method {method!r}{hint}")
    return None if "ANY" in methods else frozenset(methods)


def _scheme(text: str, scheme: str | None) -> str | None:
    if scheme is not None and scheme.lower() not in DEFAULT_PORTS:
        raise ValueError(f"{text!r} has the scheme {scheme!r}: write http or https, or leave it out for both")
    return scheme and scheme.lower()


def _host(text: str, host: str) -> str:
    if "*" in host.removeprefix("*."):
        raise ValueError(
            f"{text!r} has the host {host!r}: a * replaces whole labels at the front, as in *.slow.example"
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
        raise ValueError(f"{text!r}: ** matches the rest of a path, so it can only be its last segment")
    for part in parts:
        if part == "*" or re.fullmatch(r":\w+", part):
            raise ValueError(f"{text!r}: {part!r} matches no segment: write {{{part.strip(':*') or 'name'}}}")
    names = [name for part in parts for name in _CAPTURE.findall(part)]
    for name in names:
        if not name.isidentifier():
            raise ValueError(f"{text!r}: {{{name}}} is not a name: use letters, digits and _")
        if names.count(name) > 1:
            raise ValueError(f"{text!r}: {{{name}}} occurs twice: give each part of the path its own name")
    return tuple(_segment(text, part) for part in parts), matches_rest


def _segment(text: str, part: str) -> Segment:
    pieces = _CAPTURE.split(part)  # literal, name, literal, name, … literal
    if any("{" in literal or "}" in literal for literal in pieces[::2]):
        raise ValueError(f"{text!r}: {part!r} has a brace that is not closed or not opened")
    if len(pieces) == 1:
        return Segment(_unquoted(part))
    literals = tuple(map(_unquoted, pieces[::2]))
    return Segment(None, re.compile(_pattern(literals, pieces[1::2]), re.DOTALL), literals)


def _unquoted(text: str) -> str:
    """Return a text of a path without its escapes. Bytes that are not UTF-8 match the same bytes."""
    return unquote(text, errors="surrogateescape")


def _pattern(literals: Sequence[str], names: Sequence[str]) -> str:
    """Return a regular expression: each capture ends where the literal behind it first occurs, the last at the end.

    Atomic groups `(?>…)` prevent backtracking into a capture: it could not find a match, and would take quadratic time.
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
    wide, narrow = first.segments, second.segments
    if first.matches_rest:
        if len(narrow) < len(wide) or (len(narrow) == len(wide) and not second.matches_rest):
            return False
    elif second.matches_rest or len(wide) != len(narrow):
        return False
    return all(_segment_covers(a, b) for a, b in zip(wide, narrow, strict=False))


def _segment_covers(first: Segment, second: Segment) -> bool:
    if first.pattern is None:
        return second.pattern is None and first.literal == second.literal
    if first.matches_all:
        return second.pattern is not None or second.literal != ""
    if second.pattern is None:
        return first.pattern.fullmatch(second.literal or "") is not None
    return first.literals == second.literals
