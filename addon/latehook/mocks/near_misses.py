"""PURE: why a mock does not answer a request, and which mocks came nearest to doing so."""

import difflib
import heapq
from collections.abc import Sequence
from enum import IntEnum, auto

from msgspec import Struct
from msgspec.structs import replace

from latehook.base.errors import shorten
from latehook.base.hostnames import canonical_host, host_matches
from latehook.base.messages import Request
from latehook.mocks.matching import Matcher
from latehook.mocks.router import PathTree

MAX_NEAR_MISSES = 3
"""Near misses that are reported for one request."""

COMPARED_PATH_LENGTH = 200
"""Characters of a path that are compared with the paths of mocks."""


class Step(IntEnum):
    """What a request is compared by, in this order. A mock that passes more steps is nearer."""

    HOST = auto()
    PORT = auto()
    SCHEME = auto()
    METHOD = auto()
    PATH = auto()
    TIMES = auto()
    LOOKUP = auto()
    WHEN = auto()


class Difference(Struct, frozen=True):
    """The first step at which a request differs from what a mock answers, and the difference in words."""

    step: Step
    words: str


class NearMiss(Struct, frozen=True):
    """A mock that does not answer a request: its name, its place (`file:line`), its path, and the first difference."""

    mock: str
    at: str
    path: str
    step: Step
    differs: str


def closest(request: Request, mocks: Sequence[NearMiss]) -> list[NearMiss]:
    """Return at most MAX_NEAR_MISSES of these, the nearest first. Mocks of other hosts only if there are no others."""
    furthest = max((miss.step for miss in mocks), default=Step.HOST)
    path = request.path[:COMPARED_PATH_LENGTH]

    def distance(miss: NearMiss) -> tuple[int, float]:
        if miss.step < furthest:  # the comparison takes time, and could not put it before those that came further
            return -miss.step, 0.0
        return -miss.step, -difflib.SequenceMatcher(None, miss.path, path).quick_ratio()

    nearest = heapq.nsmallest(MAX_NEAR_MISSES, mocks, key=distance)
    return [
        replace(miss, differs=shorten(miss.differs))
        for miss in nearest
        if miss.step > Step.HOST or furthest == Step.HOST
    ]


def difference(matcher: Matcher, request: Request) -> Difference | None:
    """Return the first thing in which a request differs from a match, or None where it matches."""
    if not host_matches(matcher.host, canonical_host(request.host)):
        return Difference(Step.HOST, f"host is {request.host}, not {matcher.host}")
    if matcher.port is not None and matcher.port != request.port:
        return Difference(Step.PORT, f"port is {request.port}, not {matcher.port}")
    if matcher.scheme is not None and matcher.scheme != request.scheme:
        return Difference(Step.SCHEME, f"scheme is {request.scheme}, not {matcher.scheme}")
    if not matcher.matches_method(request.method):
        methods = "|".join(sorted(matcher.methods or ()))
        return Difference(Step.METHOD, f"method is {request.method}, not {methods}")
    if not PathTree([(matcher, matcher)]).find(request.path):
        return Difference(Step.PATH, f"path is {request.path}")
    return None
