"""PURE: what a request gets where no mock answers it: JSON that says what is wrong, and what came near."""

import difflib
import heapq
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from latehook.base.errors import shorten
from latehook.base.hostnames import canonical_host, host_matches
from latehook.base.model import Request
from latehook.mocks.matching import Matcher
from latehook.mocks.router import PathTree

SHOWN = 3

LIKENESS_LENGTH = 200
"""Characters of a path by which mocks are compared with it."""

STEPS = ("host", "port", "scheme", "method", "path", "times", "when")
"""What is looked at of a request, in order: the words with which `differs` begins."""


class NearMiss(Struct, frozen=True):
    """A mock that did not take a request, and the first thing that differs, in words."""

    mock: str
    at: str
    path: str
    differs: str

    @property
    def step(self) -> int:
        return STEPS.index(self.differs.partition(" ")[0])


def closest(request: Request, mocks: Sequence[NearMiss]) -> list[NearMiss]:
    """Those that came nearest, the best first."""
    furthest = max((near.step for near in mocks), default=0)
    asked = request.path[:LIKENESS_LENGTH]

    def unlike(near: NearMiss) -> tuple[int, float]:
        if near.step < furthest:  # likeness costs, and cannot bring it before those that came further
            return -near.step, 0.0
        return -near.step, -difflib.SequenceMatcher(None, near.path, asked).quick_ratio()

    found = [near for near in heapq.nsmallest(SHOWN, mocks, key=unlike) if near.step > 0 or furthest == 0]
    return [replace(near, differs=shorten(near.differs)) for near in found]


def difference(matcher: Matcher, request: Request) -> str | None:
    """The first thing in which the request differs from this match, in words; None where it matches."""
    if not host_matches(matcher.host, canonical_host(request.host)):
        return f"host is {request.host}, not {matcher.host}"
    if matcher.port is not None and matcher.port != request.port:
        return f"port is {request.port}, not {matcher.port}"
    if matcher.scheme is not None and matcher.scheme != request.scheme:
        return f"scheme is {request.scheme}, not {matcher.scheme}"
    if not matcher.matches_method(request.method):
        return f"method is {request.method}, not {'|'.join(sorted(matcher.methods or ()))}"
    if not PathTree([(matcher, matcher)]).find(request.path):
        return f"path is {request.path}"
    return None
