"""PURE, the heart: what the third party would do. Mocks, a request and a moment in; response and job out."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlsplit

from latehook.bodies import encode_json
from latehook.durations import Delay
from latehook.expressions import Expression, render
from latehook.matching import Matcher, canonical_host, covers
from latehook.messages import JSON, BodyPlan, ResponsePlan, WebhookPlan, map_of, respond
from latehook.model import (
    ExpressionError,
    Job,
    Moment,
    Place,
    Request,
    Response,
    Stage,
    State,
    Webhook,
)
from latehook.sandbox import to_text
from latehook.scope import JobsView, JobView, RandomView, RequestView, new_uuid, reached, status_of

NEAREST_SHOWN = 3
