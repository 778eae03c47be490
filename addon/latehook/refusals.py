"""PURE: what a request gets where no mock answers it: JSON that says what is wrong, and what came near."""

import difflib
import heapq
from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from latehook.bodies import encode_json
from latehook.messages import JSON
from latehook.model import Request, Response, told
from latehook.redaction import Redaction

NEAREST_SHOWN = 3

LIKENESS_LENGTH = 200
"""Characters of a path by which mocks are compared with it."""

STEPS = ("host", "port", "scheme", "method", "path", "times", "when")
"""What is looked at of a request, in order: the words with which `differs` begins."""


class Near(Struct, frozen=True):
    """A mock that did not take a request, and the first thing that differs, in words."""

    mock: str
    at: str
    path: str
    differs: str

    @property
    def step(self) -> int:
        return STEPS.index(self.differs.partition(" ")[0])


def failure(status: int, error: str, request: Request, redaction: Redaction, **details: Any) -> Response:
    """Latehook's own answer where no mock gives one: JSON that says what is wrong and names the request."""
    asked = {"method": told(request.method), "url": told(request.url)}
    body = encode_json(redaction.hide({"error": f"latehook: {told(error)}", "request": asked, **details}))
    return Response(status, (("content-type", JSON), ("content-length", str(len(body)))), body)


def nearest(request: Request, mocks: Sequence[Near]) -> list[Near]:
    """Those that came nearest, the best first."""
    furthest = max((near.step for near in mocks), default=0)
    asked = request.path[:LIKENESS_LENGTH]

    def unlike(near: Near) -> tuple[int, float]:
        if near.step < furthest:  # likeness costs, and cannot bring it before those that came further
            return -near.step, 0.0
        return -near.step, -difflib.SequenceMatcher(None, near.path, asked).quick_ratio()

    found = [near for near in heapq.nsmallest(NEAREST_SHOWN, mocks, key=unlike) if near.step > 0 or furthest == 0]
    return [replace(near, differs=told(near.differs)) for near in found]


def unmatched(request: Request, near: Sequence[Near], redaction: Redaction) -> Response:
    """501: the request, and the mocks that came nearest."""
    shown = [{"mock": one.mock, "at": one.at, "differs": one.differs} for one in near]
    return failure(501, "no mock matches this request", request, redaction, nearest=shown)
