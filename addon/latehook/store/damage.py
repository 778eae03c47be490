"""PURE: rows of the store that cannot be read, because somebody or a disk has changed them."""

from typing import Any

import msgspec

from latehook.base.errors import shorten
from latehook.base.messages import Request, Response
from latehook.base.model import Job, Stage, State, Webhook

DAMAGED = (msgspec.MsgspecError, ValueError, TypeError, OverflowError)
"""Errors with which a row cannot be read."""


def damage(error: Exception) -> str:
    """Return the reason why a webhook has failed whose row, or whose job's row, cannot be read."""
    return shorten(f"the store is damaged, and cannot be read here: {error}")


def require[Kind](value: Any, kind: type[Kind]) -> Kind:
    """Return a column's value if it is of this type. SQLite keeps any value in any column. Raises TypeError."""
    if type(value) is not kind:
        raise TypeError(f"a column has {value!r}, which is no {kind.__name__}")
    return value


def damaged_job(key: int, id: Any, mock: Any, created_at: Any) -> Job:
    """Return a job whose value cannot be read, from its other columns. Its status is `failed`, its response a 500."""
    at = created_at if type(created_at) is float else 0.0
    request = Request("", "", "", 0, "", body=None)
    return Job(str(id), str(mock), at, request, (Stage(at, "failed"),), response=Response(500), key=key)


def damaged_webhook(columns: tuple[Any, Any, Any], due: Any, state: State, reason: str | None) -> Webhook:
    """Return a webhook that cannot be read, from its other columns: its id, its stage and its URL are `columns`."""
    id, stage, url = columns
    return Webhook(
        id=str(id),
        stage=stage if type(stage) is int else 0,
        definition="",
        mock_stage=0,
        due=due if type(due) is float else 0.0,
        to=None if url is None else str(url),
        state=state,
        reason=reason,
    )
